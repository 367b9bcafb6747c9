/**
 * What `npm run bench -- hosts --json FILE` writes: named as in the results of the other benchmarks,
 * with lists that have one number for each round.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { root } from '../support/children';
import { settingsOf } from './contestants';
import type { HostsComparison, HostsRow } from './compare';
import { hostsWorkloads, type HostsWorkload } from './workloads';

/** In what a figure is told, and whether more of it is better. */
export const figureUnits = {
  rate: { unit: 'MiB/s', moreIsBetter: true, group: 'throughput' },
  'round trip': { unit: 'us', moreIsBetter: false, group: 'round trip' },
  requests: { unit: 'requests/s', moreIsBetter: true, group: 'http' },
} as const;

function describeWorkload(workload: HostsWorkload): object {
  const isTransfer = workload.kind === 'transfer';
  return {
    name: workload.name,
    ...figureUnits[workload.figure],
    ...(isTransfer ? { bytes: workload.transfer(1).bytes } : {}),
    connections: isTransfer ? 1 : workload.connections,
  };
}

function latencyOf(own: readonly HostsRow[]): object {
  const microseconds = (of: (row: HostsRow) => number | undefined): number[] =>
    own.flatMap((row) => of(row) ?? []).map((milliseconds) => milliseconds * 1000);
  const p50 = microseconds((row) => row.latencyP50Ms);
  const p99 = microseconds((row) => row.latencyP99Ms);
  return p50.length === 0 ? {} : { latency: { p50, p99 } };
}

/** Who left before the last round is not among the measurements, but with `absent`. */
export function hostsResults(
  comparison: HostsComparison,
  rounds: number,
  seconds: number,
  date = new Date(),
): object {
  const { machine, rows, absent, smc } = comparison;
  const manifest = readFileSync(path.join(root, 'package.json'), 'utf8');
  const measurements = hostsWorkloads.flatMap((workload) =>
    workload.contestants.flatMap((contestant) => {
      const own = rows.filter(
        (row) => row.workload === workload.name && row.contestant === contestant,
      );
      if (own.length < rounds) return [];
      const figures = own.map(({ figure }) => figure);
      return [{ workload: workload.name, contestant, figures, ...latencyOf(own) }];
    }),
  );
  return {
    schema: 'rdma-net benchmark of two hosts',
    version: 1,
    date: date.toISOString().slice(0, 10),
    release: (JSON.parse(manifest) as { version: string }).version,
    machine,
    hosts: 2,
    rounds,
    seconds,
    contestants: Object.entries(settingsOf).map(([name, settings]) => {
      return { name, title: name, settings };
    }),
    workloads: hostsWorkloads.map(describeWorkload),
    measurements,
    absent,
    ...(smc === undefined ? {} : { smc }),
  };
}
