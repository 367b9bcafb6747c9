import { dirname, join } from 'node:path';

import { execute } from '../lab/execute';
import { ensurePackages, headerPackages } from '../lab/packages';
import { filesBelow } from './files';
import { nodeHeaders } from './node-headers';

/** As in binding.gyp, with the warnings for our own files only. */
const commonFlags: readonly string[] = [
  ...['-std=c++20', '-fno-exceptions', '-Ibinding', '-DRDMA_NET_HAS_VERBS=1'],
  ...['-DNAPI_VERSION=8', '-DNODE_ADDON_API_DISABLE_DEPRECATED', '-DNAPI_DISABLE_CPP_EXCEPTIONS'],
];

/** The sources of the addon, and what a compiler must be told to read them. */
export interface NativeSources {
  readonly files: readonly string[];
  readonly flags: readonly string[];
}

/**
 * Finds the sources and the headers of others that they include; installs those of rdma-core when
 * they are missing.
 *
 * @param report - told, one line each, what takes long.
 * @throws LabUnavailable or Error with the reason why they cannot be compiled here.
 */
export async function nativeSources(
  root: string,
  report: (line: string) => void,
): Promise<NativeSources> {
  const node = nodeHeaders();
  if (node === undefined) throw new Error("no headers of Node: run 'npm run build:native' first");
  const nodeAddonApi = dirname(require.resolve('node-addon-api/package.json', { paths: [root] }));
  const folders = [nodeAddonApi, node, ...(await rdmaHeaders(root, report))];
  return {
    files: slowestFirst(filesBelow(root, 'binding', ['.cc'])),
    flags: [...commonFlags, ...folders.flatMap((folder) => ['-isystem', folder])],
  };
}

/** The folder to be named to the compiler; none if it finds them by itself. */
async function rdmaHeaders(root: string, report: (line: string) => void): Promise<string[]> {
  const script = join(root, 'binding', 'rdma-include.js');
  const { status, stdout, stderr } = await execute(process.execPath, [script]);
  if (status !== 0) throw new Error(stderr.trim());
  if (stdout === 'none') await ensurePackages(headerPackages, report);
  return stdout === 'none' || stdout === 'system' ? [] : [stdout];
}

/** Node's headers take longest: started last, they would be waited for with one processor busy. */
function slowestFirst(files: readonly string[]): string[] {
  const slow = (file: string) => file.includes('/napi/');
  return [...files.filter(slow), ...files.filter((file) => !slow(file))];
}
