/** Where tests of sockets run: on what, and under which addresses. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { TransportName } from '../../lib/mode';
import { resourcesOf } from './resources';

/** What processes hold, counted by kind. */
export type Held = Record<string, number>;

export interface Place {
  /** What sockets have to run on. */
  transport: TransportName;
  /** An address of this host that they reach. */
  address: string;
  /** All addresses of that family. */
  wildcard: string;
  /** Addresses at which nobody answers, while a server listens on `address`. */
  nowhere: string[];
  /** What these processes hold now of what connections take. */
  held(pids: number[]): Promise<Held>;
  /** What they may hold when no connection is left, asked for while there is none. */
  idle(pids: number[]): Promise<Held>;
}

/** The lab's guest, on its RDMA device. */
export const lab: Place = {
  transport: 'rdma',
  address: '10.77.0.1',
  wildcard: '0.0.0.0',
  // On the guest's network, and nobody's: what we do ourselves is the same each time.
  nowhere: ['10.77.0.97', '10.77.0.98', '10.77.0.99'],
  held: async (pids) => ({ ...(await resourcesOf(pids)) }),
  idle: () => Promise.resolve({ queuePairs: 0, memoryRegions: 0, cmIds: 0 }),
};

function descriptorsOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** Mappings of memory that has a descriptor but no name, as what is shared with a peer. */
function sharedMappingsOf(pid: number): number {
  const mappings = readFileSync(`/proc/${pid}/maps`, 'latin1').split('\n');
  return mappings.filter((mapping) => mapping.includes(' /memfd:')).length;
}

function heldNatively(pids: number[]): Promise<Held> {
  const sum = (of: (pid: number) => number): number =>
    pids.map(of).reduce((total, each) => total + each, 0);
  return Promise.resolve({
    descriptors: sum(descriptorsOf),
    sharedMappings: sum(sharedMappingsOf),
  });
}

/** This machine itself, with both programs on it. */
export function here(transport: 'local' | 'tcp', family: 4 | 6): Place {
  return {
    transport,
    address: family === 4 ? '127.0.0.1' : '::1',
    wildcard: family === 4 ? '0.0.0.0' : '::',
    nowhere: ['127.0.0.97', '127.0.0.98', '127.0.0.99'],
    held: heldNatively,
    idle: heldNatively,
  };
}

/** What the descriptors of a process are, for a failure that has to be understood. */
export function describeDescriptors(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).map((name) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${name}`);
    } catch {
      return 'closed meanwhile';
    }
  });
}

/**
 * Asks again, as often as it is answered, until processes hold no more than this of anything.
 * @returns what they hold of what they hold more of
 */
export async function excess(place: Place, pids: number[], idle: Held): Promise<Held> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const held = Object.entries(await place.held(pids));
    const more = held.filter(([kind, count]) => count > (idle[kind] ?? 0));
    if (more.length === 0 || Date.now() > deadline) return Object.fromEntries(more);
    // Who holds it may need this processor to let go of it.
    await new Promise((resolve) => setImmediate(resolve));
  }
}
