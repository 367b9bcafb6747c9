/** How fast bytes pass, from what is told at two moments. */

import type { ConnectionReport } from '../../monitor/report';
import type { ProgramStatus } from './programs';

/** Bytes in a second, by which a connection or program is compared with others. */
export interface Rate {
  received: number;
  sent: number;
}

interface Sample {
  received: number;
  sent: number;
  atMs: number;
}

/** Remembers what was told last, by key. */
export class Rates {
  #before = new Map<string, Sample>();
  #now = new Map<string, Sample>();

  /** From here on it is about what is told now. */
  next(): void {
    this.#before = this.#now;
    this.#now = new Map();
  }

  /** @returns undefined when it is told for the first time, or is not what it was */
  of(
    key: string,
    bytes: { bytesReceived: number; bytesSent: number },
    nowMs: number,
  ): Rate | undefined {
    const sample = { received: bytes.bytesReceived, sent: bytes.bytesSent, atMs: nowMs };
    this.#now.set(key, sample);
    const before = this.#before.get(key);
    if (before === undefined || before.atMs >= nowMs) return undefined;
    const seconds = (nowMs - before.atMs) / 1000;
    const received = (sample.received - before.received) / seconds;
    const sent = (sample.sent - before.sent) / seconds;
    return received < 0 || sent < 0 ? undefined : { received, sent };
  }
}

/** One connection of a program, with the thread that has it. */
export interface ConnectionRow {
  thread: number;
  connection: ConnectionReport;
  /** Undefined where there is nothing to compare with. */
  rate: Rate | undefined;
}

/** All connections of a program. */
export function rowsOf(
  { environments }: ProgramStatus,
  rates: Rates | undefined,
  nowMs: number,
): ConnectionRow[] {
  return environments.flatMap(({ thread, connections = [] }) =>
    connections.map((connection) => {
      const rate = rates?.of(`${thread}/${connection.id}`, connection, nowMs);
      return { thread, connection, rate };
    }),
  );
}

/** By what connections can be sorted. */
export const SORT_KEYS = ['bytes', 'rate', 'stalls', 'age', 'peer'] as const;
export type SortKey = (typeof SORT_KEYS)[number];

function valueOf({ connection, rate }: ConnectionRow, key: SortKey): number {
  switch (key) {
    case 'bytes':
      return connection.bytesReceived + connection.bytesSent;
    case 'rate':
      return rate === undefined ? -1 : rate.received + rate.sent;
    case 'stalls':
      return connection.creditStalls ?? -1;
    case 'age':
      return connection.ageSeconds ?? -1;
    case 'peer':
      return 0;
  }
}

function peerOf({ connection: { remote } }: ConnectionRow): string {
  return remote === null ? '' : `${remote.address} ${String(remote.port).padStart(5)}`;
}

/** The largest first; by peer as addresses are listed. */
export function sortRows(rows: ConnectionRow[], key: SortKey): ConnectionRow[] {
  if (key !== 'peer') return rows.sort((a, b) => valueOf(b, key) - valueOf(a, key));
  const keys = new Map(rows.map((row) => [row, peerOf(row)]));
  return rows.sort((a, b) => (keys.get(a) ?? '').localeCompare(keys.get(b) ?? ''));
}
