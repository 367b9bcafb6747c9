/** The tarball of `npm pack`: what is in it, and one with other prebuilt binaries. */

import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { executeOrFail } from '../lab/execute';
import { root } from '../rdma/program';
import { cleanEnvironment } from './environment';

const OPTIONS = ['--json', '--ignore-scripts', '--loglevel=error'];

interface Packed {
  filename: string;
  files: { path: string }[];
}

/** Runs `npm pack`. Its answer is an array, or since npm 12 an object by the names of packages. */
async function pack(folder: string, options: readonly string[]): Promise<Packed> {
  const answer = await executeOrFail('npm', ['pack', ...OPTIONS, ...options], {
    cwd: folder,
    env: cleanEnvironment(),
  });
  const [packed] = Object.values(JSON.parse(answer) as Record<string, Packed>);
  if (packed === undefined) throw new Error(`npm pack in ${folder} made nothing`);
  return packed;
}

/** The files that would be published, sorted. */
export async function publishedFiles(): Promise<string[]> {
  const { files } = await pack(root, ['--dry-run']);
  return files.map((file) => file.path).sort();
}

/**
 * Makes the tarball in a folder, with these prebuilt binaries and no others: their paths in the
 * package, and what is put there. Returns its path.
 */
export async function makeTarball(
  folder: string,
  prebuilds: Readonly<Record<string, string>>,
): Promise<string> {
  const unpacked = path.join(folder, 'package');
  mkdirSync(folder, { recursive: true });
  rmSync(unpacked, { recursive: true, force: true });
  const first = await pack(root, ['--pack-destination', folder]);
  await executeOrFail('tar', ['-xzf', path.join(folder, first.filename), '-C', folder]);
  rmSync(path.join(unpacked, 'prebuilds'), { recursive: true, force: true });
  for (const [place, file] of Object.entries(prebuilds)) {
    mkdirSync(path.dirname(path.join(unpacked, place)), { recursive: true });
    copyFileSync(file, path.join(unpacked, place));
  }
  const second = await pack(unpacked, ['--pack-destination', folder]);
  rmSync(unpacked, { recursive: true });
  return path.join(folder, second.filename);
}
