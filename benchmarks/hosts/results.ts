/** What `npm run bench -- hosts` prints and writes, made of what was measured. */
import { figures } from '../pair/workloads';
import {
  resultHead,
  rounded,
  type Measurement,
  type Results,
  type ResultWorkload,
} from '../report/result-file';
import type { Absent, HostsComparison, HostsRow } from './compare';
import { hostsTitles, hostsWorkloads, type HostsWorkload } from './workloads';

const groups = { rate: 'there and back', 'round trip': 'round trip', requests: 'http' } as const;

function describeWorkload(workload: HostsWorkload): ResultWorkload {
  const { name, size, figure } = workload;
  const { unit, moreIsBetter, work } = figures[figure];
  const isTransfer = workload.kind === 'transfer';
  return {
    ...{ name, group: groups[figure], unit, moreIsBetter, work, size },
    bytes: isTransfer ? workload.transfer(1).bytes : 0,
    connections: isTransfer ? 1 : workload.connections,
  };
}

function latencyOf(own: readonly HostsRow[]): Pick<Measurement, 'latency'> {
  const microseconds = (of: (row: HostsRow) => number | undefined): number[] =>
    own.flatMap((row) => of(row) ?? []).map((milliseconds) => milliseconds * 1000);
  const p50 = microseconds((row) => row.latencyP50Ms);
  const p99 = microseconds((row) => row.latencyP99Ms);
  return p50.length === 0 ? {} : { latency: { p50, p99 } };
}

function showAbsent({ contestant, workload, reason }: Absent): string {
  return `${hostsTitles[contestant]} did not take part (${workload}): ${reason}`;
}

/** How it is known that SMC-R was used, in words; undefined where it was not. */
export function smcEvidence({ smc }: Pick<HostsComparison, 'smc'>): string | undefined {
  if (smc === undefined) return undefined;
  const links = smc.links.map(({ device, address, peerAddress }) => {
    return `${device}, ${address} to ${peerAddress}`;
  });
  const fallbacks = smc.fallbacks.reduce((sum, { count }) => sum + count, 0);
  return (
    `SMC-R, by the client's kernel: ${smc.connections.client} connections, ` +
    `${smc.bytesSent} bytes sent, ${smc.bytesReceived} received, ${fallbacks} back to TCP; ` +
    `links: ${links.join('; ') || 'closed by now'}`
  );
}

const ABOUT_RSTREAM =
  'rstream is a program in C that calls in a loop without waiting; with -T b it sleeps, as Node does. ' +
  '-T s is TCP.';

/** Who left before the last round is not among the measurements, but in a note. */
export function hostsResults(
  comparison: HostsComparison,
  rounds: number,
  seconds: number,
): Results {
  const { machine, rows, absent } = comparison;
  const evidence = smcEvidence(comparison);
  const measurements = hostsWorkloads.flatMap((workload) =>
    workload.contestants.flatMap((contestant) => {
      const own = rows.filter(
        (row) => row.workload === workload.name && row.contestant === contestant,
      );
      if (own.length < rounds) return [];
      const figures = rounded(own.map(({ figure }) => figure));
      return [{ workload: workload.name, contestant, figures, ...latencyOf(own) }];
    }),
  );
  return {
    ...resultHead(),
    ...{ machine, hosts: 2, rounds, seconds },
    contestants: Object.entries(hostsTitles).map(([name, title]) => ({ name, title })),
    workloads: hostsWorkloads.map(describeWorkload),
    measurements,
    notes: [
      ABOUT_RSTREAM,
      ...absent.map(showAbsent),
      ...(evidence === undefined ? [] : [evidence]),
    ],
  };
}
