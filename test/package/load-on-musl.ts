/**
 * Loads a binary for musl on arm64 with musl's own dynamic linker, in a program that stands for Node:
 * it has all of its functions that the binary names, and they do nothing. What the binary needs of
 * libc is found, or it is not loaded.
 */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { withCacheLock } from '../lab/cache';
import { execute, executeOrFail } from '../lab/execute';
import { ensurePackages } from '../lab/packages';
import type { Report } from '../lab/setup';
import { root } from '../rdma/program';
import { packageCache } from './npm-package';
import { requirementsOf } from './requirements';
import { setUpZig } from './zig';

const PROGRAM = `
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char** argv) {
  void* addon = argc == 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
  if (addon != NULL && dlsym(addon, "napi_register_module_v1") != NULL) return 0;
  puts(dlerror());
  return 1;
}
`;

/** @returns what is wrong, or undefined. */
export async function loadOnMusl(file: string, report: Report): Promise<string | undefined> {
  await ensurePackages(['qemu-user-static', 'dpkg-dev'], report);
  const zig = await setUpZig(report);
  mkdirSync(packageCache(), { recursive: true });
  const work = mkdtempSync(packageCache('load-'));
  try {
    const unpack = path.join(root, 'test', 'package', 'unpack-packages.sh');
    await withCacheLock(() => executeOrFail(unpack, ['arm64', path.join(work, 'root'), 'musl']));
    const { imported } = await requirementsOf(file);
    const stubs = imported
      .filter((symbol) => /^(napi|node_api|uv)_/.test(symbol))
      .map((symbol) => `void ${symbol}(void) { abort(); }\n`);
    const source = path.join(work, 'program.c');
    writeFileSync(source, PROGRAM + stubs.join(''));
    const program = path.join(work, 'program');
    const target = ['-target', 'aarch64-linux-musl', '-dynamic', '-rdynamic'];
    const cache = packageCache('zig-cache');
    await executeOrFail(path.join(zig, 'zig'), ['cc', ...target, source, '-o', program], {
      env: { ...process.env, ZIG_GLOBAL_CACHE_DIR: cache, ZIG_LOCAL_CACHE_DIR: cache },
    });
    const emulator = ['-L', path.join(work, 'root')];
    const result = await execute('qemu-aarch64-static', [...emulator, program, file]);
    return result.status === 0 ? undefined : `${result.stdout}${result.stderr}`.trim();
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
