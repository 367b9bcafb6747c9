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

const TRIPLE = 'aarch64-linux-musl';

/** What binding.gyp has as NAPI_VERSION: the binary itself is asked for it, so that some of it runs. */
const API_VERSION = 8;

const PROGRAM = `
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char** argv) {
  void* addon = argc == 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
  if (addon == NULL || dlsym(addon, "napi_register_module_v1") == NULL) {
    puts(dlerror());
    return 1;
  }
  int (*version)(void) = (int (*)(void))dlsym(addon, "node_api_module_get_api_version_v1");
  if (version != NULL && version() == ${API_VERSION}) return 0;
  puts("it does not say that it is for version ${API_VERSION} of Node-API");
  return 1;
}
`;

/** Compiles the program and links it to musl's own library, which is also its dynamic linker. */
async function compile(source: string, program: string, tree: string, zig: string): Promise<void> {
  const library = path.join(tree, 'usr', 'lib', TRIPLE);
  // zig would link musl statically, and then nothing can be loaded.
  const own = ['-nostdlib', '-isystem', path.join(tree, 'usr', 'include', TRIPLE)];
  const inputs = [path.join(library, 'crt1.o'), source, 'libc.so'];
  const args = ['cc', '-target', TRIPLE, ...own, '-rdynamic', ...inputs, '-o', program];
  const cache = packageCache('zig-cache');
  await executeOrFail(path.join(zig, 'zig'), args, {
    // From there the program asks for `libc.so`, and not for a path: musl then takes itself.
    cwd: path.join(tree, 'lib', TRIPLE),
    env: { ...process.env, ZIG_GLOBAL_CACHE_DIR: cache, ZIG_LOCAL_CACHE_DIR: cache },
  });
}

/** @returns what is wrong, or undefined. */
export async function loadOnMusl(file: string, report: Report): Promise<string | undefined> {
  await ensurePackages(['qemu-user-static', 'dpkg-dev'], report);
  const zig = await setUpZig(report);
  mkdirSync(packageCache(), { recursive: true });
  const work = mkdtempSync(packageCache('load-'));
  try {
    const unpack = path.join(root, 'test', 'package', 'unpack-packages.sh');
    const tree = path.join(work, 'root');
    await withCacheLock(() => executeOrFail(unpack, ['arm64', tree, 'musl', 'musl-dev']));
    const { imported } = await requirementsOf(file);
    const stubs = imported
      .filter((symbol) => /^(napi|node_api|uv)_/.test(symbol))
      .map((symbol) => `void ${symbol}(void) { abort(); }\n`);
    const source = path.join(work, 'program.c');
    writeFileSync(source, PROGRAM + stubs.join(''));
    const program = path.join(work, 'program');
    await compile(source, program, tree, zig);
    const linker = path.join(tree, 'lib', TRIPLE, 'libc.so');
    const result = await execute('qemu-aarch64-static', [linker, program, file]);
    return result.status === 0 ? undefined : `${result.stdout}${result.stderr}`.trim();
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
