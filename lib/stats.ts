/** What this environment holds of RDMA, in numbers. */

import { fallbacksByReason } from './info';
import type { Counters, TransportStats } from './native';
import type { ReasonCode } from './reasons';
import { registrationsOf } from './registrations';
import { openTransport } from './transport';

/** What {@link stats} returns. */
export interface Stats extends TransportStats {
  /** Large writes sent in place because their ArrayBuffer is registered. */
  registrationHits: number;
  /** Large writes that were copied because theirs is not, or not yet. */
  registrationMisses: number;
  /** How many sockets and servers went to TCP, by reason. */
  fallbacks: Partial<Record<ReasonCode, number>>;
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

const noStats: TransportStats = {
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

/**
 * What this environment (main thread or worker) holds of RDMA, what has passed, and how often it
 * fell back. A snapshot of plain numbers; all 0 before RDMA is first used.
 */
export function stats(): Stats {
  const transport = openTransport();
  const registrations = transport === undefined ? undefined : registrationsOf(transport);
  const { counters, ...totals } = transport?.stats() ?? noStats;
  return {
    ...totals,
    counters: { ...counters },
    registrationHits: registrations?.hits ?? 0,
    registrationMisses: registrations?.misses ?? 0,
    fallbacks: fallbacksByReason(),
  };
}
