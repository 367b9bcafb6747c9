/** What `npm run bench` measures, by the names that its options take. */
import {
  MEBIBYTE,
  connects,
  figures,
  protocols,
  requests,
  roundTrip,
  writes,
  type PairWorkload,
} from '../pair/workloads';
import type { ResultWorkload } from '../report/result-file';

/** `net` is everything without http. */
export const matrixProtocols = ['net', ...protocols] as const;
export type MatrixProtocol = (typeof matrixProtocols)[number];

/** Bytes of the body of an answer, and what readers call it. */
export const matrixBodies = {
  hello: { bytes: 0, size: 'hello world' },
  '1KiB': { bytes: 1024, size: '1 KiB' },
  '64KiB': { bytes: 65_536, size: '64 KiB' },
  '1MiB': { bytes: MEBIBYTE, size: '1 MiB' },
} as const;
export type MatrixBody = keyof typeof matrixBodies;

export const matrixConnections = [1, 10, 100, 1000];

/** What of it is to be measured. */
export interface MatrixSelection {
  protocols: readonly MatrixProtocol[];
  bodies: readonly MatrixBody[];
  connections: readonly number[];
}

/** A workload, and how its results tell of it. */
export interface MatrixWorkload {
  workload: PairWorkload;
  result: ResultWorkload;
}

function entry(
  workload: PairWorkload,
  about: Omit<ResultWorkload, 'name' | 'unit' | 'moreIsBetter' | 'work'>,
): MatrixWorkload {
  const { unit, moreIsBetter, work } = figures[workload.figure];
  return { workload, result: { name: workload.name, ...about, unit, moreIsBetter, work } };
}

const sizes = { '64 B': 64, '4 KiB': 4096, '64 KiB': 65_536, '1 MiB': MEBIBYTE } as const;

function net(): MatrixWorkload[] {
  const one = { connections: 1 };
  const written = (['4 KiB', '64 KiB', '1 MiB'] as const).map((size) => {
    const bytes = sizes[size];
    return entry(writes(size, bytes), { group: 'throughput', size, bytes, ...one });
  });
  const there = (['64 B', '4 KiB', '64 KiB'] as const).map((size) => {
    const bytes = sizes[size];
    return entry(roundTrip(size, bytes), { group: 'round trip', size, bytes, ...one });
  });
  const made = [1, 10].map((atOnce) =>
    entry(connects(atOnce), { group: 'connects', connections: atOnce }),
  );
  return [...written, ...there, ...made];
}

export function matrixWorkloads(selection: MatrixSelection): MatrixWorkload[] {
  const { bodies, connections } = selection;
  return selection.protocols.flatMap((protocol) => {
    if (protocol === 'net') return net();
    return bodies.flatMap((body) => {
      const { bytes, size } = matrixBodies[body];
      const name = bytes === 0 ? size : `${size} body`;
      return connections.map((count) =>
        entry(requests(protocol, name, bytes, count), {
          ...{ group: protocol, size, bytes, connections: count },
        }),
      );
    });
  });
}
