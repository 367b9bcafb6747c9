/** What `rdma-net bench` measures. */

import type { Scalable } from './calibrate';
import type { Transferred, Transfer } from './transfer';
import { percentilesOf } from '../statistics';

/** What one round gave. */
export interface Figure {
  readonly value: number;
  /** Of round trips: of a hundred, one takes longer. */
  readonly p99: number | null;
}

/** A kind of transfer, and in what it is told. */
export interface BenchWorkload extends Scalable {
  readonly name: string;
  readonly unit: 'us' | 'MiB/s';
  readonly digits: number;
  figureOf(transfer: Transfer, transferred: Transferred): Figure;
}

const MEBIBYTE = 2 ** 20;
/** At the scale of 1. */
const BULK_BYTES = 2 * MEBIBYTE;
const ROUND_TRIPS = 100;

function bulk(size: string, bytes: number): BenchWorkload {
  return {
    name: `${size} writes`,
    unit: 'MiB/s',
    digits: 0,
    transfer: (scale) => ({ bytes, count: (scale * BULK_BYTES) / bytes, turns: 1, echo: false }),
    figureOf: ({ count }, { seconds }) => {
      return { value: (bytes * count) / MEBIBYTE / seconds, p99: null };
    },
  };
}

const roundTrip: BenchWorkload = {
  name: '64 B round trip',
  unit: 'us',
  digits: 1,
  transfer: (scale) => ({ bytes: 64, count: 1, turns: scale * ROUND_TRIPS, echo: true }),
  figureOf: (_transfer, { turnMicroseconds }) => {
    const { p50, p99 } = percentilesOf(turnMicroseconds);
    return { value: p50, p99 };
  },
};

/** In this order. */
export const benchWorkloads: readonly BenchWorkload[] = [
  roundTrip,
  bulk('64 KiB', 65_536),
  bulk('1 MiB', MEBIBYTE),
];
