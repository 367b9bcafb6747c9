/**
 * Names of shared memory that somebody has taken to whom they do not belong. A server with rdma-net
 * has some in the abstract namespace of Unix-domain sockets, beside its listening TCP socket: see
 * binding/local/rendezvous.h. Any user may take any of them, and then sockets go to TCP.
 */

import type { Files } from '../machine/files';
import type { LocalNameFacts, ProcessFacts } from './facts';

/** As binding/local/rendezvous.cc makes them; /proc shows the zero byte before a name as `@`. */
const NAME = /@(rdma-net\/2\/(\d{1,5})\/[^/\s@]+(?:\/(?:roll|\d+))?)$/;
/** In /proc/net/unix: sockets of packets, and of messages. Names of streams are others. */
const PACKETS = '0002';
const MESSAGES = '0005';
/** Of a socket for messages that has a name of its own; accepted ones have that of their listener. */
const UNCONNECTED = '01';
/** In /proc/net/tcp. */
const LISTENING = '0A';

interface Name {
  readonly name: string;
  readonly port: number;
  readonly inode: string;
}

function rowsOf(files: Files, file: string): string[][] {
  const lines = (files.text(file) ?? '').split('\n').slice(1);
  return lines.map((line) => line.trim().split(/\s+/));
}

function findNames(files: Files): Name[] {
  return rowsOf(files, '/proc/net/unix').flatMap((row) => {
    const [, , , , type = '', state = '', inode = '', path = ''] = row;
    const [, name, port] = NAME.exec(path) ?? [];
    const hasOwn = type === PACKETS || (type === MESSAGES && state === UNCONNECTED);
    if (name === undefined || !hasOwn) return [];
    return [{ name, port: Number(port), inode }];
  });
}

/** The sockets that listen at each port. */
function findListeners(files: Files): Map<number, string[]> {
  const found = new Map<number, string[]>();
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const [, local = '', , state, , , , , , inode = ''] of rowsOf(files, file)) {
      if (state !== LISTENING) continue;
      const port = Number.parseInt(local.slice(local.lastIndexOf(':') + 1), 16);
      found.set(port, [...(found.get(port) ?? []), inode]);
    }
  }
  return found;
}

/** Those who hold sockets, as far as this user may see: of its own programs, for root all. */
function findHolders(files: Files, inodes: ReadonlySet<string>): Map<string, ProcessFacts[]> {
  const holders = new Map<string, ProcessFacts[]>();
  for (const pid of files.list('/proc').filter((name) => /^\d+$/.test(name))) {
    for (const descriptor of files.list(`/proc/${pid}/fd`)) {
      const target = files.linkName(`/proc/${pid}/fd/${descriptor}`) ?? '';
      const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
      if (inode === undefined || !inodes.has(inode)) continue;
      const status = files.text(`/proc/${pid}/status`) ?? '';
      const userId = Number(/^Uid:\s+\d+\s+(\d+)/m.exec(status)?.[1] ?? -1);
      const program = files.text(`/proc/${pid}/comm`) ?? '';
      const one = { pid: Number(pid), program, userId };
      holders.set(inode, [...(holders.get(inode) ?? []), one]);
    }
  }
  return holders;
}

function overlap(some: readonly ProcessFacts[], others: readonly ProcessFacts[]): boolean {
  return some.some(({ userId }) => others.some((other) => other.userId === userId));
}

/**
 * Names that are held by somebody else than the server of that port, or where there is none, by
 * somebody else than this user.
 */
export function findTakenNames(files: Files, userId: number): LocalNameFacts[] {
  const names = findNames(files);
  if (names.length === 0) return [];
  const listeners = findListeners(files);
  const sockets = [...listeners.values()].flat();
  const holders = findHolders(files, new Set([...names.map(({ inode }) => inode), ...sockets]));
  const taken = names.flatMap(({ name, port, inode }): (LocalNameFacts & { inode: string })[] => {
    const found = holders.get(inode) ?? [];
    const [holder] = found;
    const one = { name, port, holder, inode };
    const at = listeners.get(port);
    // A server listens over TCP before it takes its names.
    if (at === undefined) {
      const isOwn = found.some((each) => each.userId === userId);
      return isOwn ? [] : [{ ...one, server: undefined }];
    }
    const servers = at.flatMap((each) => holders.get(each) ?? []);
    const [server] = servers;
    // Of those of other users nothing is seen, neither who listens nor who holds the name.
    return server === undefined || overlap(found, servers) ? [] : [{ ...one, server }];
  });
  // Those of a server that has just ended are gone meanwhile.
  const left = new Set(findNames(files).map(({ inode }) => inode));
  return taken
    .filter(({ inode }) => left.has(inode))
    .map(({ name, port, holder, server }) => ({ name, port, holder, server }));
}
