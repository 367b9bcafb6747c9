/** What prebuilt binaries are made for, and where node-gyp-build finds them. */

import path from 'node:path';
import { root } from '../rdma/program';

/** One prebuilt binary. */
export interface Target {
  readonly arch: 'x64' | 'arm64';
  readonly libc: 'glibc' | 'musl';
  /** What the compiler calls it. */
  readonly triple: string;
}

/**
 * The oldest glibc that a binary may ask for: what Node's own binaries ask for since Node 20, so
 * that wherever those run, ours does.
 */
export const GLIBC_MAX = '2.28';

export const targets: readonly Target[] = [
  { arch: 'x64', libc: 'glibc', triple: `x86_64-linux-gnu.${GLIBC_MAX}` },
  { arch: 'x64', libc: 'musl', triple: 'x86_64-linux-musl' },
  { arch: 'arm64', libc: 'glibc', triple: `aarch64-linux-gnu.${GLIBC_MAX}` },
  { arch: 'arm64', libc: 'musl', triple: 'aarch64-linux-musl' },
];

/** How people name it: `linux-x64-musl`. */
export function nameOf({ arch, libc }: Target): string {
  return `linux-${arch}-${libc}`;
}

/** Where node-gyp-build looks for it in a package. */
export function prebuildPath({ arch, libc }: Target): string {
  return path.join('prebuilds', `linux-${arch}`, `rdma-net.${libc}.node`);
}

/** Where `npm run prebuilds` puts it. */
export function prebuildFile(target: Target): string {
  return path.join(root, prebuildPath(target));
}
