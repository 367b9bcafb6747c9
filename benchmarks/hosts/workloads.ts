/** What `npm run bench -- hosts` measures, and who takes part. */
import type { Transfer } from '../pair/transfer-peer';

interface Common {
  name: string;
  /** MiB a second in all, microseconds there and back, or answers a second. */
  figure: 'rate' | 'round trip' | 'requests';
  contestants: readonly HostsName[];
  /** For readers: of a write, or of what is asked for. */
  size: string;
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

/** Those who take part, with their titles. The others are compared with the first. */
export const hostsTitles = {
  tcp: 'Node over TCP',
  rdma: 'Node over RDMA',
  smc: 'Node over SMC-R',
  rstream: 'rstream',
  'rstream -T b': 'rstream -T b',
  'rstream -T s -T b': 'rstream -T s -T b',
} as const;

export type HostsName = keyof typeof hostsTitles;

const ofNode: readonly HostsName[] = ['tcp', 'rdma', 'smc'];
const all = Object.keys(hostsTitles) as HostsName[];

const MEBIBYTE = 2 ** 20;
const BULK_BYTES = 2 * MEBIBYTE;
const ROUND_TRIPS = 50;

function bulk(size: string, bytes: number): TransferWorkload {
  return {
    kind: 'transfer',
    name: `${size} there and back`,
    size,
    figure: 'rate',
    contestants: all,
    transfer: (scale) => ({ bytes, count: (scale * BULK_BYTES) / bytes, turns: 1, echo: true }),
  };
}

export const hostsWorkloads: readonly HostsWorkload[] = [
  {
    kind: 'transfer',
    name: '64 B round trip',
    size: '64 B',
    figure: 'round trip',
    contestants: all,
    transfer: (scale) => ({ bytes: 64, count: 1, turns: scale * ROUND_TRIPS, echo: true }),
  },
  bulk('64 KiB', 65_536),
  bulk('1 MiB', MEBIBYTE),
  {
    kind: 'http',
    name: 'http hello world, 8 connections',
    size: 'hello world',
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
