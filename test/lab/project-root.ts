import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * The folder of the checkout: the lab's scripts for the guest are read from its source tree, not
 * from the folder that this file was compiled into.
 *
 * @throws Error when no folder above this file holds the package.json of rdma-net.
 */
export function projectRoot(): string {
  for (let folder = __dirname; folder !== dirname(folder); folder = dirname(folder)) {
    if (packageName(join(folder, 'package.json')) === 'rdma-net') return folder;
  }
  throw new Error(`no folder above ${__dirname} has the package.json of rdma-net`);
}

function packageName(path: string): unknown {
  try {
    const content: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return (content as { name?: unknown }).name;
  } catch {
    return undefined;
  }
}
