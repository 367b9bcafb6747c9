/** What this environment holds of RDMA and shared memory, in numbers. */

import { fallbacksByReason } from './info';
import type { FabricTransportName } from './mode';
import type { Counters, TransportStats } from './native';
import type { ReasonCode } from './reasons';
import { registrationsOf } from './registrations';
import { fabricTransports, rdmaTransport } from './transport';

/** What {@link stats} returns: the sums over all transports, and more. */
export interface Stats extends TransportStats {
  /** Large writes sent in place because their ArrayBuffer is registered. */
  registrationHits: number;
  /** Large writes that were copied because theirs is not, or not yet. */
  registrationMisses: number;
  /** How many sockets and servers went to TCP, by reason. */
  fallbacks: Partial<Record<ReasonCode, number>>;
  /** What each transport holds that has been used. */
  transports: Partial<Record<FabricTransportName, TransportStats>>;
}

/** Of a connection of which nothing has been heard. */
export function noCounters(): Counters {
  return {
    bytesReceived: 0,
    bytesSent: 0,
    bytesReceivedCopied: 0,
    bytesReceivedInPlace: 0,
    bytesSentCopied: 0,
    bytesSentInPlace: 0,
    messagesReceived: 0,
    messagesSent: 0,
    workRequests: 0,
    creditStalls: 0,
  };
}

function noStats(): TransportStats {
  return {
    connections: 0,
    listeners: 0,
    queuePairs: 0,
    pinnedBytes: 0,
    slabBytes: 0,
    slabBytesUsed: 0,
    registrations: 0,
    registrationsMade: 0,
    wakeUps: 0,
    completions: 0,
    counters: noCounters(),
  };
}

// What a transport counts beyond the names that are known is not in the sums.
function addTo<T extends object>(sums: T, one: T): void {
  for (const key of Object.keys(sums) as (keyof T)[]) {
    const [sum, value]: unknown[] = [sums[key], one[key]];
    if (typeof sum === 'number' && typeof value === 'number') {
      sums[key] = (sum + value) as T[keyof T];
    }
  }
}

/**
 * What this environment (main thread or worker) holds of RDMA and shared memory, what has passed,
 * and how often it fell back. A snapshot of plain numbers; all 0 before the first use.
 */
export function stats(): Stats {
  const sums = noStats();
  const transports: Stats['transports'] = {};
  for (const { name, opened } of fabricTransports) {
    if (opened === undefined) continue;
    const one = opened.stats();
    transports[name] = one;
    addTo(sums, one);
    addTo(sums.counters, one.counters);
  }
  const { opened: rdma } = rdmaTransport;
  const registrations = rdma === undefined ? undefined : registrationsOf(rdma);
  return {
    ...sums,
    registrationHits: registrations?.hits ?? 0,
    registrationMisses: registrations?.misses ?? 0,
    fallbacks: fallbacksByReason(),
    transports,
  };
}
