/** Makes the prebuilt binary of a target, with prebuildify and the compiler of zig.ts. */

import { cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { withCacheLock } from '../lab/cache';
import { execute, executeOrFail, LabUnavailable } from '../lab/execute';
import { setUpHeaders, type Report } from '../lab/setup';
import { root } from '../rdma/program';
import { downloadNpmPackage } from './npm-package';
import { nameOf, prebuildFile, type Target } from './targets';
import { compilerEnvironment, setUpZig } from './zig';

/** The oldest Node that the package supports: what its headers do not have, no binary may use. */
const HEADERS_OF = '20.19.6';

/** prebuildify empties `build`, so it gets a folder of its own, with what the package publishes. */
function stage(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(path.join(folder, 'include'), { recursive: true });
  for (const name of ['binding', 'binding.gyp', 'package.json']) {
    cpSync(path.join(root, name), path.join(folder, name), { recursive: true });
  }
  symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'));
  // The headers of rdma-core alone: beside them are those of this machine's glibc.
  for (const name of ['infiniband', 'rdma']) {
    symlinkSync(path.join('/usr/include', name), path.join(folder, 'include', name));
  }
}

/**
 * Lets the compiler make the libraries of a target, which it does when they are first needed, and
 * sometimes fails at in several processes at once.
 */
async function makeLibraries(environment: Record<string, string>, folder: string): Promise<void> {
  const source = path.join(folder, 'libraries.cc');
  writeFileSync(source, '#include <string>\nstd::string Text() { return "text"; }\n');
  const args = ['-O3', '-fPIC', '-shared', source, '-o', path.join(folder, 'libraries.so')];
  await executeOrFail(environment['CXX'] ?? '', args, { env: { ...process.env, ...environment } });
}

/**
 * Compiles the addon for a target into `prebuilds`.
 *
 * @throws LabUnavailable with the end of the compiler's output, or when something is not to be had.
 */
export async function buildPrebuild(target: Target, report: Report): Promise<void> {
  await setUpHeaders(report);
  const zig = await setUpZig(report);
  const node = await withCacheLock(() =>
    downloadNpmPackage({ name: `node-linux-${target.arch}`, version: HEADERS_OF }, report),
  );
  const folder = path.join(root, 'build', 'prebuilds', nameOf(target));
  stage(folder);
  report(`compiling ${nameOf(target)}`);
  const compiler = compilerEnvironment(zig, target, path.join(folder, 'compiler'));
  await makeLibraries(compiler, folder);
  const tags = ['--napi', '--tag-libc', '--arch', target.arch, '--libc', target.libc];
  const prebuildify = path.join(root, 'node_modules', '.bin', 'prebuildify');
  const { status, stdout, stderr } = await execute(prebuildify, [...tags, '--out', root], {
    cwd: folder,
    env: {
      ...process.env,
      ...compiler,
      JOBS: 'max',
      RDMA_NET_INCLUDE: path.join(folder, 'include'),
      npm_config_nodedir: node,
    },
  });
  const log = path.join(folder, 'compiler.log');
  writeFileSync(log, stdout + stderr);
  if (status !== 0) throw new LabUnavailable(`${nameOf(target)} could not be compiled: see ${log}`);
  report(`made ${path.relative(root, prebuildFile(target))}`);
}
