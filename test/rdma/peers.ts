import { rmSync } from 'node:fs';
import path from 'node:path';
import { execute } from '../lab/execute';
import { projectRoot } from '../lab/project-root';

/** The program of peers/, which breaks the rules of rsockets over verbs. */
export function hostilePeer(): string {
  return path.join(projectRoot(), 'build', 'peers', 'hostile');
}

/**
 * Builds the program, on the host: the guest sees it there.
 *
 * @returns why it cannot be had, if so; there is no program of an earlier build then.
 */
export async function buildPeers(): Promise<string | undefined> {
  const folder = path.join(projectRoot(), 'test', 'rdma', 'peers');
  const { status, stdout, stderr } = await execute('make', ['-C', folder]);
  if (status === 0) return undefined;
  rmSync(hostilePeer(), { force: true });
  return `make -C test/rdma/peers fails with status ${status}\n${stdout}${stderr}`;
}
