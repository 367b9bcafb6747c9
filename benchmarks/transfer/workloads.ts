/** What `npm run bench -- lab` has transferred, by whom, and what is hoped for. */
import type { Transfer } from '../pair/transfer-peer';

/** A kind of transfer. */
export interface Workload {
  name: string;
  contestants: string[];
  /** What its figure is: MiB a second in all, or microseconds there and back. */
  figure: 'rate' | 'round trip';
  /** One of which the length grows with the scale. */
  transfer(scale: number): Transfer;
}

const MEBIBYTE = 2 ** 20;
/** Each way at the scale of 1. */
const BULK_BYTES = 4 * MEBIBYTE;
const ROUND_TRIPS = 200;

/** The names of a workload for the sizes of writes. */
export const bulkSizes = { '4 KiB': 4096, '64 KiB': 65_536, '1 MiB': MEBIBYTE } as const;

function bulk(size: keyof typeof bulkSizes): Workload[] {
  const bytes = bulkSizes[size];
  const count = (scale: number): number => (scale * BULK_BYTES) / bytes;
  return [
    {
      // What rstream does: all transfers of a turn go there, then as many come back.
      name: `${size} there and back`,
      contestants: ['rdma-net', 'rstream', 'rstream -T b'],
      figure: 'rate',
      transfer: (scale) => ({ bytes, count: count(scale), turns: 1, echo: true }),
    },
    {
      name: `${size} one way`,
      contestants: ['rdma-net', 'ib_write_bw'],
      figure: 'rate',
      transfer: (scale) => ({ bytes, count: 2 * count(scale), turns: 1, echo: false }),
    },
  ];
}

export const workloads: Workload[] = [
  ...bulk('4 KiB'),
  ...bulk('64 KiB'),
  ...bulk('1 MiB'),
  {
    name: '64 B round trip',
    contestants: [
      ...['rdma-net', 'rstream', 'rstream -T b'],
      ...['Node TCP', 'rstream -T s', 'rstream -T s -T b'],
    ],
    figure: 'round trip',
    transfer: (scale) => ({ bytes: 64, count: 1, turns: scale * ROUND_TRIPS, echo: true }),
  },
];

/** The figure of a transfer that took so many seconds. */
export function figureOf(workload: Workload, transfer: Transfer, seconds: number): number {
  const { bytes, count, turns, echo } = transfer;
  if (workload.figure === 'round trip') return (seconds / turns) * 1e6;
  return (bytes * count * turns * (echo ? 2 : 1)) / MEBIBYTE / seconds;
}
