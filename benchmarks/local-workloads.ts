/** What `npm run bench -- local` measures on one machine, and what is hoped for. */
import type { Transfer } from './transfer-peer';

/** In what a figure is told, and whether more of it is better. */
export const figures = {
  rate: { unit: 'MiB/s', digits: 0, moreIsBetter: true, work: 'GiB' },
  'round trip': { unit: 'us', digits: 1, moreIsBetter: false, work: '100,000 round trips' },
  requests: { unit: 'requests/s', digits: 0, moreIsBetter: true, work: '100,000 requests' },
} as const;

/** What is hoped for of the ratio of figures, ours to TCP's. */
export interface Hope {
  aim: number;
  /** Less than the aim, but still worth it. */
  least: number;
}

interface Common {
  name: string;
  figure: keyof typeof figures;
  hope: Hope;
}

/** Writes that go one way, or round trips. */
export interface TransferWorkload extends Common {
  kind: 'transfer';
  /** One whose length grows with the scale. */
  transfer(scale: number): Transfer;
}

/** Requests of autocannon. */
export interface HttpWorkload extends Common {
  kind: 'http';
  protocol: 'http' | 'https';
  connections: number;
  /** Of each body; 0 for a greeting. */
  bytes: number;
}

export type LocalWorkload = TransferWorkload | HttpWorkload;

const MEBIBYTE = 2 ** 20;
const BULK_BYTES = 32 * MEBIBYTE;
const ROUND_TRIPS = 1000;

function bulk(size: string, bytes: number): TransferWorkload {
  const transfer = (scale: number): Transfer => {
    return { bytes, count: (scale * BULK_BYTES) / bytes, turns: 1, echo: false };
  };
  const name = `${size} writes`;
  return { kind: 'transfer', name, figure: 'rate', hope: { aim: 3, least: 2 }, transfer };
}

const roundTrip: TransferWorkload = {
  kind: 'transfer',
  name: '64 B round trip',
  figure: 'round trip',
  hope: { aim: 0.5, least: 0.8 },
  transfer: (scale) => ({ bytes: 64, count: 1, turns: scale * ROUND_TRIPS, echo: true }),
};

function http(protocol: 'http' | 'https', body: string, bytes: number) {
  return (connections: number): HttpWorkload => {
    const many = connections >= 32;
    const aim = protocol === 'https' ? 1 : many ? 2 : 1.3;
    return {
      kind: 'http',
      name: `${protocol} ${body}, ${connections} connection${connections === 1 ? '' : 's'}`,
      figure: 'requests',
      hope: { aim, least: 1 },
      protocol,
      connections,
      bytes,
    };
  };
}

export const localWorkloads: LocalWorkload[] = [
  bulk('4 KiB', 4096),
  bulk('64 KiB', 65_536),
  bulk('1 MiB', MEBIBYTE),
  roundTrip,
  ...[1, 10, 32, 100].map(http('http', 'hello world', 0)),
  ...[1, 10, 32, 100].map(http('http', '64 KiB body', 65_536)),
  ...[32].map(http('https', 'hello world', 0)),
  ...[32].map(http('https', '64 KiB body', 65_536)),
];

/** Those that `npm start` begins with. */
export const shortWorkloads = localWorkloads.filter(({ name }) =>
  ['64 KiB writes', '64 B round trip', 'http hello world, 32 connections'].includes(name),
);
