/**
 * Where `rdma-net status` finds the programs that use rdma-net: each environment (the main thread, or
 * a worker) has a Unix-domain socket of its own in a folder that only its user can open.
 *
 *     $XDG_RUNTIME_DIR/rdma-net/PID-NAMESPACE-THREAD.sock
 *     /tmp/rdma-net-USER/PID-NAMESPACE-THREAD.sock          where there is no such folder
 *
 * Containers may share the folder and have the same process ids: the namespace tells them apart. A
 * name is that of one environment at a time, so that whoever finds its own taken finds a leftover.
 */

import { lstatSync, mkdirSync, readlinkSync, type Stats } from 'node:fs';
import path from 'node:path';

/** The name of an endpoint, in its parts. */
export interface EndpointName {
  /** As the program itself sees it. */
  readonly pid: number;
  /** Of its process ids: the number of the inode. */
  readonly pidNamespace: string;
  /** As the kernel numbers it; of the main thread, the process id. */
  readonly thread: number;
}

/** Of what is said there. Raised when a reader of the former one would misunderstand it. */
export const PROTOCOL = 1;

/** Bytes that the address of a Unix-domain socket can have. */
const PATH_BYTES_MAX = 107;

const FOLDER = 'rdma-net';

/** The number of a namespace of a process; '0' if that cannot be seen. */
export function namespaceOf(pid: number | 'self', kind: 'pid' | 'mnt'): string {
  try {
    return /\d+/.exec(readlinkSync(`/proc/${pid}/ns/${kind}`))?.[0] ?? '0';
  } catch {
    return '0';
  }
}

/** The kernel's number of this thread. Node's would need a module that takes a while to be loaded. */
export function ownThread(): number {
  try {
    return Number(/\d+$/.exec(readlinkSync('/proc/thread-self'))?.[0] ?? process.pid);
  } catch {
    return process.pid;
  }
}

/** The file of an endpoint. */
export function fileNameOf({ pid, pidNamespace, thread }: EndpointName): string {
  return `${pid}-${pidNamespace}-${thread}.sock`;
}

/** What the name of a file says, if it is that of an endpoint. */
export function parseFileName(name: string): EndpointName | undefined {
  const match = /^(\d{1,10})-(\d{1,20})-(\d{1,10})\.sock$/.exec(name);
  if (match === null) return undefined;
  const [, pid, pidNamespace = '', thread] = match;
  return { pid: Number(pid), pidNamespace, thread: Number(thread) };
}

/** The folder of a user in that for files of the session, which the system keeps for itself. */
export function folderInRuntime(runtime: string): string {
  return path.join(runtime, FOLDER);
}

/** The folder of a user in that for temporary files, which all users share. */
export function folderInTmp(user: number): string {
  return `/tmp/${FOLDER}-${user}`;
}

/** Whether something in the folder for temporary files has a name like {@link folderInTmp}. */
export function isFolderInTmp(name: string): boolean {
  return /^rdma-net-\d+$/.test(name);
}

// Asked before something is made, rather than trying and being refused: an error costs the program
// more than all the rest.
function look(folder: string): Stats | undefined {
  try {
    // Not statSync: somebody else may have put a link there, to a folder of this user.
    return lstatSync(folder, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

/** The user of a folder that nobody else can open; undefined if it is something else. */
export function ownerOfPrivate(folder: string): number | undefined {
  const found = look(folder);
  if (found?.isDirectory() !== true) return undefined;
  return (found.mode & 0o77) === 0 ? found.uid : undefined;
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch {
    // It is there, or cannot be.
  }
}

/**
 * Makes the folder of this user, and says where the endpoint of an environment is to be.
 * @param runtime the environment's XDG_RUNTIME_DIR
 * @returns undefined when no folder can be had that nobody else can open
 */
export function placeFor(name: EndpointName, runtime: string | undefined): string | undefined {
  const user = process.geteuid?.();
  if (user === undefined) return undefined;
  const folders = [folderInTmp(user)];
  // After `su` and the like it may be somebody else's, and must not get a folder of ours.
  if (runtime !== undefined && path.isAbsolute(runtime) && look(runtime)?.uid === user) {
    folders.unshift(folderInRuntime(runtime));
  }
  for (const folder of folders) {
    const file = path.join(folder, fileNameOf(name));
    if (Buffer.byteLength(file) > PATH_BYTES_MAX) continue;
    if (ownerOfPrivate(folder) === user) return file;
    makeFolder(folder);
    if (ownerOfPrivate(folder) === user) return file;
  }
  return undefined;
}
