/** What `npm run bench -- hosts` measures, and who takes part. */
import type { Transfer } from '../pair/transfer-peer';

interface Common {
  name: string;
  /** MiB a second in all, microseconds there and back, or answers a second. */
  figure: 'rate' | 'round trip' | 'requests';
  contestants: readonly string[];
}

export interface TransferWorkload extends Common {
  kind: 'transfer';
  /** One whose length grows with the scale. */
  transfer(scale: number): Transfer;
}

export interface HttpWorkload extends Common {
  kind: 'http';
  connections: number;
}

export type HostsWorkload = TransferWorkload | HttpWorkload;

/** rdma-net is compared with the others. */
export const RDMA_NET = 'rdma-net';
export const SMC = 'Node SMC-R';
const ofNode = [RDMA_NET, 'Node TCP', SMC];
const all = [...ofNode, 'rstream', 'rstream -T b', 'rstream -T s -T b'];

const MEBIBYTE = 2 ** 20;
const BULK_BYTES = 2 * MEBIBYTE;
const ROUND_TRIPS = 50;

function bulk(size: string, bytes: number): TransferWorkload {
  return {
    kind: 'transfer',
    name: `${size} there and back`,
    figure: 'rate',
    contestants: all,
    transfer: (scale) => ({ bytes, count: (scale * BULK_BYTES) / bytes, turns: 1, echo: true }),
  };
}

export const hostsWorkloads: readonly HostsWorkload[] = [
  {
    kind: 'transfer',
    name: '64 B round trip',
    figure: 'round trip',
    contestants: all,
    transfer: (scale) => ({ bytes: 64, count: 1, turns: scale * ROUND_TRIPS, echo: true }),
  },
  bulk('64 KiB', 65_536),
  bulk('1 MiB', MEBIBYTE),
  {
    kind: 'http',
    name: 'http hello, 8 connections',
    figure: 'requests',
    contestants: ofNode,
    connections: 8,
  },
];

/** The figure of a transfer that took so many seconds. */
export function figureOfTransfer(
  workload: TransferWorkload,
  { bytes, count, turns, echo }: Transfer,
  seconds: number,
): number {
  if (workload.figure === 'round trip') return (seconds / turns) * 1e6;
  return (bytes * count * turns * (echo ? 2 : 1)) / MEBIBYTE / seconds;
}
