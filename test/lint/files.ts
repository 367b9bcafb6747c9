import { readdirSync } from 'node:fs';
import { join, relative } from 'node:path';

/** The files below a folder with one of these endings, as paths from `root`, in a fixed order. */
export function filesBelow(root: string, folder: string, endings: readonly string[]): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && endings.some((ending) => entry.name.endsWith(ending)))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .sort();
}
