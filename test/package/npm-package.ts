/** Packages of npm that are used as files: unpacked into the cache, and nothing of them is run. */

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { cachePath } from '../lab/cache';
import { executeOrFail, LabUnavailable } from '../lab/execute';
import type { Report } from '../lab/setup';

export interface NpmPackage {
  readonly name: string;
  readonly version: string;
  /** As `npm view NAME@VERSION dist.integrity` has it; undefined where any is taken. */
  readonly integrity?: string;
}

/** A path in the part of the cache that is about packaging. */
export function packageCache(...parts: readonly string[]): string {
  return path.join(cachePath(), '..', 'package', ...parts);
}

/**
 * The folder of an unpacked package. To be called under the cache's lock.
 *
 * @throws LabUnavailable when it cannot be downloaded, or is not what it was.
 */
export async function downloadNpmPackage(wanted: NpmPackage, report: Report): Promise<string> {
  const folder = packageCache(`${wanted.name.replace('/', '-')}-${wanted.version}`);
  if (existsSync(folder)) return folder;
  report(`downloading ${wanted.name}@${wanted.version}`);
  mkdirSync(packageCache(), { recursive: true });
  const work = mkdtempSync(packageCache('unpack-'));
  try {
    const quiet = ['--ignore-scripts', '--loglevel=error', '--pack-destination', work];
    const specifier = `${wanted.name}@${wanted.version}`;
    const stdout = await executeOrFail('npm', ['pack', ...quiet, specifier], { cwd: work });
    const archive = path.join(work, stdout.trim().split('\n').pop() ?? '');
    const digest = createHash('sha512').update(readFileSync(archive)).digest('base64');
    if (wanted.integrity !== undefined && wanted.integrity !== `sha512-${digest}`) {
      throw new LabUnavailable(`${specifier} is not what it was: sha512-${digest}`);
    }
    const tree = path.join(work, 'tree');
    mkdirSync(tree);
    await executeOrFail('tar', ['-xzf', archive, '-C', tree, '--strip-components=1']);
    renameSync(tree, folder);
    return folder;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
