/** What the examples need and the checkout does not have: libraries, and a program in C. */

import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { consumersFolder, setUpLibraries } from '../consumers/setup';
import { executeOrFail } from '../lab/execute';
import { ensurePackages, headerPackages } from '../lab/packages';
import type { Report } from '../lab/setup';
import { root } from '../rdma/program';

export const folder = path.join(root, 'examples');

/** The program of rsockets-peer.c, where the command at its head puts it. */
export const rsocketsPeer = path.join(folder, 'rsockets-peer');

/** The libraries that a package.json wants, with their versions. */
export function dependenciesIn(place: string): Record<string, string> {
  const text = readFileSync(path.join(place, 'package.json'), 'utf8');
  return (JSON.parse(text) as { dependencies: Record<string, string> }).dependencies;
}

/** The command at the head of an example that begins so, with all of its lines. */
export function commandIn(file: string, begin: string): string {
  const lines = readFileSync(path.join(folder, file), 'utf8')
    .split('\n')
    .map((line) => line.replace(/^(\/\/| \*) {0,5}/, ''));
  const first = lines.findIndex((line) => line.startsWith(begin));
  if (first < 0) throw new Error(`${file} has no command ${begin}`);
  const last = lines.findIndex((line, index) => index >= first && !line.endsWith('\\'));
  return lines.slice(first, last + 1).join('\n');
}

/**
 * Gives the examples the libraries of test/consumers, one installation being enough, unless
 * somebody has installed theirs.
 */
function linkLibraries(): void {
  const modules = path.join(folder, 'node_modules');
  for (const name of Object.keys(dependenciesIn(folder))) {
    const place = path.join(modules, name);
    if (existsSync(place)) continue;
    // A link that leads nowhere may be there.
    rmSync(place, { force: true });
    mkdirSync(path.dirname(place), { recursive: true });
    const there = path.join(consumersFolder, 'node_modules', name);
    symlinkSync(path.relative(path.dirname(place), name === 'rdma-net' ? root : there), place);
  }
}

async function compileRsocketsPeer(): Promise<void> {
  rmSync(rsocketsPeer, { force: true });
  const command = `${commandIn('rsockets-peer.c', 'cc ')} -Wextra -Wconversion -Wshadow -Werror`;
  await executeOrFail('sh', ['-c', command], { cwd: folder });
}

/**
 * Fetches and makes whatever the examples need.
 *
 * @throws LabUnavailable with the reason, and the remedy where there is one.
 */
export async function setUpExamples(report: Report): Promise<void> {
  await setUpLibraries(report);
  await ensurePackages(headerPackages, report);
  linkLibraries();
  await compileRsocketsPeer();
}
