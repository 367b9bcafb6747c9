import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

import { checkAll } from './check-all';

/** Files that are read as one. */
interface Unit {
  readonly name: string;
  readonly files: readonly string[];
}

/**
 * Runs one program for all files of a folder together: what it does for the headers of others, and
 * that is most of its work, it does once. Two files of a folder may each have something of the same
 * name to itself, and then cannot be read as one: such folders are halved until they can.
 *
 * @returns what those that failed printed.
 */
export async function checkUnified(
  command: string,
  files: readonly string[],
  argsFor: (file: string) => readonly string[],
  root: string,
): Promise<string[]> {
  const folder = join(root, 'build', 'lint');
  mkdirSync(folder, { recursive: true });
  const halves: Unit[] = [];
  const problems: string[] = [];
  const check = async (units: readonly Unit[]): Promise<void> => {
    const unitOf = new Map(units.map((unit) => [write(folder, root, unit), unit]));
    const failures = await checkAll(command, [...unitOf.keys()], argsFor, root);
    for (const { file, output } of failures) {
      const unit = unitOf.get(file);
      const readable = !output.includes('[clang-diagnostic-error');
      if (unit === undefined || unit.files.length < 2 || readable) problems.push(output);
      else halves.push(...halve(unit));
    }
    if (halves.length > 0) await check(halves.splice(0));
  };
  await check(byFolder(files));
  return problems;
}

function byFolder(files: readonly string[]): Unit[] {
  const names = new Set(files.map(dirname));
  return [...names].map((name) => ({
    name: basename(name),
    files: files.filter((file) => dirname(file) === name),
  }));
}

function halve({ name, files }: Unit): Unit[] {
  const middle = Math.ceil(files.length / 2);
  return [files.slice(0, middle), files.slice(middle)].map((half, index) => ({
    name: `${name}-${index + 1}`,
    files: half,
  }));
}

function write(folder: string, root: string, { name, files }: Unit): string {
  const path = join(folder, `${name}.cc`);
  writeFileSync(path, files.map((file) => `#include "${join(root, file)}"\n`).join(''));
  return path;
}
