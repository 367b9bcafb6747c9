/** What `npm run bench -- local` measures on one machine, and what is hoped for. */
import { MEBIBYTE, requests, roundTrip, writes, type PairWorkload } from '../pair/workloads';

/** What is hoped for of the ratio of figures, ours to TCP's. */
export interface Hope {
  aim: number;
  /** Less than the aim, but still worth it. */
  least: number;
}

export type LocalWorkload = PairWorkload & { hope: Hope };

function bulk(size: string, bytes: number): LocalWorkload {
  return { ...writes(size, bytes), hope: { aim: 3, least: 2 } };
}

function http(protocol: 'http' | 'https', body: string, bytes: number) {
  return (connections: number): LocalWorkload => {
    const many = connections >= 32;
    const aim = protocol === 'https' ? 1 : many ? 2 : 1.3;
    return { ...requests(protocol, body, bytes, connections), hope: { aim, least: 1 } };
  };
}

export const localWorkloads: LocalWorkload[] = [
  bulk('4 KiB', 4096),
  bulk('64 KiB', 65_536),
  bulk('1 MiB', MEBIBYTE),
  { ...roundTrip('64 B', 64), hope: { aim: 0.5, least: 0.8 } },
  ...[1, 10, 32, 100].map(http('http', 'hello world', 0)),
  ...[1, 10, 32, 100].map(http('http', '64 KiB body', 65_536)),
  ...[32].map(http('https', 'hello world', 0)),
  ...[32].map(http('https', '64 KiB body', 65_536)),
];

/** Those that `npm start` begins with. */
export const shortWorkloads = localWorkloads.filter(({ name }) =>
  ['64 KiB writes', '64 B round trip', 'http hello world, 32 connections'].includes(name),
);
