/** What `npm run bench -- hosts` prints. */
import type { Absent, HostsComparison, HostsRow } from './compare';
import { figureUnits } from './results';
import { hostsWorkloads, RDMA_NET, type HostsWorkload } from './workloads';
import { showSpread } from '../../lib/statistics';

/** How many times as good rdma-net was in the rounds that both have. */
function advantages(rows: readonly HostsRow[], workload: HostsWorkload, other: string): number[] {
  const figureOf = (contestant: string, round: number): number | undefined =>
    rows.find(
      (row) =>
        row.workload === workload.name && row.contestant === contestant && row.round === round,
    )?.figure;
  const rounds = [...new Set(rows.map(({ round }) => round))];
  return rounds.flatMap((round) => {
    const [own, others] = [figureOf(RDMA_NET, round), figureOf(other, round)];
    if (own === undefined || others === undefined) return [];
    return [workload.figure === 'round trip' ? others / own : own / others];
  });
}

const header = ['workload', 'by', 'figure', 'in', 'rdma-net is better by', 'p50 ms', 'p99 ms'];

/** The columns of the table that stand at the left. */
export const textColumns = new Set([0, 1, 3]);

/** The table, with its header first. */
export function linesOf(rows: readonly HostsRow[]): string[][] {
  const lines = hostsWorkloads.flatMap((workload) =>
    workload.contestants.map((contestant) => {
      const own = rows.filter(
        (row) => row.workload === workload.name && row.contestant === contestant,
      );
      const latencies = (of: (row: HostsRow) => number | undefined): string =>
        workload.kind === 'http'
          ? showSpread(
              own.map((row) => of(row) ?? NaN),
              0,
            )
          : '';
      return [
        workload.name,
        contestant,
        showSpread(
          own.map(({ figure }) => figure),
          workload.figure === 'rate' ? 2 : 0,
        ),
        figureUnits[workload.figure].unit,
        contestant === RDMA_NET ? '' : showSpread(advantages(rows, workload, contestant), 2),
        latencies((row) => row.latencyP50Ms),
        latencies((row) => row.latencyP99Ms),
      ];
    }),
  );
  return [header, ...lines];
}

/** What the columns mean. */
export const legend =
  'Medians [least, most] of the rounds; a dash where somebody did not take part.\n' +
  'rdma-net is better by: so many times, within each round; below 1 it is worse.\n' +
  'rstream calls in a loop without waiting; with -T b it sleeps, as Node does. -T s is TCP.';

export function showAbsent({ contestant, workload, reason }: Absent): string {
  return `${contestant} did not take part (${workload}): ${reason}`;
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
