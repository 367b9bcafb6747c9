/**
 * Node for musl, in a root as that of Alpine. Nobody publishes such a Node in the registry of npm by
 * itself; but pnpm's program for musl is one, of nodejs.org's unofficial builds, that starts pnpm.
 */

import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { withCacheLock } from '../lab/cache';
import { executeOrFail } from '../lab/execute';
import { ensurePackages } from '../lab/packages';
import type { Report } from '../lab/setup';
import { root } from '../rdma/program';
import type { Runner } from './nodes';
import { downloadNpmPackage, packageCache } from './npm-package';

const PNPM = {
  name: '@pnpm/linuxstatic-x64',
  version: '11.21.0',
  integrity:
    'sha512-6Y2u+AfOUuTqWgTCpFhySL8HAcONDucCFixKle9tWoW7bm8RF0+fwQBRWNWGdx+Toau07wZ1LNZPqN8gpgeBDQ==',
};

/** Node looks here whether it is a program of its own: 1 if it is. */
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2:';

/** Where the root sees it: the project is at /app. */
const PRELOAD = '/app/node_modules/rdma-net/dist/lib/preload.js';

/** What make-musl-root.sh needs. */
const tools = ['binutils', 'dpkg-dev', 'g++', 'gcc', 'make', 'xz-utils'];

/** To be raised when make-musl-root.sh makes something else. */
const layout = 1;

/** Makes a Node of a program that Node was made into. */
function withoutProgram(file: string): Buffer {
  const content = readFileSync(file);
  const fuse = content.indexOf(`${FUSE}1`);
  if (fuse < 0) throw new Error(`${file} is not what Node makes of programs`);
  content.write('0', fuse + FUSE.length, 'latin1');
  return content;
}

async function setUpRoot(report: Report): Promise<string> {
  const folder = packageCache(`musl-root-${layout}`);
  if (!existsSync(folder)) {
    await ensurePackages(tools, report);
    report('building a C++ library for musl, which takes some minutes');
    const script = path.join(root, 'test', 'package', 'make-musl-root.sh');
    await executeOrFail(script, [folder]);
  }
  const node = path.join(folder, 'usr', 'bin', 'node');
  if (!existsSync(node)) {
    const pnpm = path.join(await downloadNpmPackage(PNPM, report), 'pnpm');
    writeFileSync(`${node}.partial`, withoutProgram(pnpm), { mode: 0o755 });
    renameSync(`${node}.partial`, node);
  }
  return folder;
}

/** Binds what programs need of the host, in a namespace of their own, and goes into the root. */
const ENTER = `
  root=$1 project=$2
  shift 2
  mount --rbind /proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount --rbind "$project" "$root/app"
  exec chroot "$root" "$@"
`;

/** Node for musl on x64, set up if it is missing. */
export async function muslNode(report: Report): Promise<Runner> {
  const folder = await withCacheLock(() => setUpRoot(report));
  const namespaces = process.getuid?.() === 0 ? ['--mount'] : ['--mount', '--map-root-user'];
  const enter = ['unshare', ...namespaces, 'sh', '-euc', ENTER, 'sh', folder];
  const inRoot = (args: readonly string[]): string[] => ['/usr/bin/node', ...args];
  const version = await executeOrFail('unshare', [
    ...[...enter.slice(1), root],
    ...inRoot(['--version']),
  ]);
  return {
    name: `Node ${version.trim()} on musl`,
    command: (project, file) => [
      ...[...enter, project],
      ...inRoot(['--require', PRELOAD, path.join('/app', file)]),
    ],
  };
}
