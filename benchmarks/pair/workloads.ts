/** What two processes of one host can be measured with: transfers, requests and connects. */
import type { Transfer } from './transfer-peer';

/** In what a figure is told, whether more of it is better, and for what its processor time is. */
export const figures = {
  rate: { unit: 'MiB/s', digits: 0, moreIsBetter: true, work: 'GiB' },
  'round trip': { unit: 'us', digits: 1, moreIsBetter: false, work: '100,000 round trips' },
  requests: { unit: 'requests/s', digits: 0, moreIsBetter: true, work: '100,000 requests' },
  connects: { unit: 'connections/s', digits: 0, moreIsBetter: true, work: '100,000 connections' },
} as const;

export type Figure = keyof typeof figures;

interface Common {
  name: string;
  figure: Figure;
}

/** Writes that go one way, or round trips. */
export interface TransferWorkload extends Common {
  kind: 'transfer';
  /** One whose length grows with the scale. */
  transfer(scale: number): Transfer;
}

export const protocols = ['http', 'https', 'http2'] as const;
/** http2 is without TLS, so that what it shows beside http is http2. */
export type Protocol = (typeof protocols)[number];

/** Requests, each connection with one at a time. */
export interface HttpWorkload extends Common {
  kind: 'http';
  protocol: Protocol;
  connections: number;
  /** Of each body; 0 for a greeting. */
  bytes: number;
}

/** Connections that are made and ended at once, so many of them at a time. */
export interface ConnectWorkload extends Common {
  kind: 'connect';
  atOnce: number;
}

export type PairWorkload = TransferWorkload | HttpWorkload | ConnectWorkload;

export const MEBIBYTE = 2 ** 20;
const BULK_BYTES = 4 * MEBIBYTE;
const ROUND_TRIPS = 1000;

/** Writes of so many bytes, one way over one connection. */
export function writes(size: string, bytes: number): TransferWorkload {
  const transfer = (scale: number): Transfer => {
    return { bytes, count: (scale * BULK_BYTES) / bytes, turns: 1, echo: false };
  };
  return { kind: 'transfer', name: `${size} writes`, figure: 'rate', transfer };
}

/** One write there and one back, over one connection. */
export function roundTrip(size: string, bytes: number): TransferWorkload {
  return {
    kind: 'transfer',
    name: `${size} round trip`,
    figure: 'round trip',
    transfer: (scale) => ({ bytes, count: 1, turns: scale * ROUND_TRIPS, echo: true }),
  };
}

/** @param body its name: what is asked for */
export function requests(
  protocol: Protocol,
  body: string,
  bytes: number,
  connections: number,
): HttpWorkload {
  return {
    kind: 'http',
    name: `${protocol} ${body}, ${connections} connection${connections === 1 ? '' : 's'}`,
    figure: 'requests',
    protocol,
    connections,
    bytes,
  };
}

export function connects(atOnce: number): ConnectWorkload {
  return { kind: 'connect', name: `connects, ${atOnce} at once`, figure: 'connects', atOnce };
}
