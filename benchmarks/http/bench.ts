/**
 * `npm run bench -- http`: http over TCP and RDMA in interleaved
 * rounds, with medians, spreads and the ratio of each round; on this machine's RDMA device if it has
 * one, else in the lab.
 */
import { writeFileSync } from 'node:fs';
import type { Comparison, Row } from './compare';
import { program, type CommandLine } from '../../test/command-line/program';
import { wholeNumber } from '../../test/command-line/options';
import { showSpread } from '../../lib/statistics';
import { printTable } from '../support/table';
import { findDevice, labCaveat, runMeasurement } from '../support/where';

const OVERHEAD_SECONDS = 12;

function summarise(rows: Row[]): string[][] {
  const lines: string[][] = [
    ['workload', 'transport', 'requests/s', 'p50 ms', 'p99 ms', 'rdma / tcp'],
  ];
  for (const workload of new Set(rows.map((row) => row.workload))) {
    const of = (asked: Row['asked']): Row[] =>
      rows.filter((row) => row.workload === workload && row.asked === asked);
    const ratios = of('rdma').map(
      (row, round) => row.requestsPerSecond / (of('tcp')[round]?.requestsPerSecond ?? NaN),
    );
    for (const asked of ['tcp', 'rdma'] as const) {
      lines.push([
        workload,
        asked,
        showSpread(
          of(asked).map((row) => row.requestsPerSecond),
          0,
        ),
        showSpread(
          of(asked).map((row) => row.latencyP50Ms),
          1,
        ),
        showSpread(
          of(asked).map((row) => row.latencyP99Ms),
          1,
        ),
        asked === 'rdma' ? showSpread(ratios, 2) : '',
      ]);
    }
  }
  return lines;
}

const commandLine = {
  summary: "an http server over TCP and RDMA, on this machine's device or in the lab",
  options: {
    rounds: { type: 'string', default: '3', takes: 'N', about: 'how many rounds' },
    seconds: { type: 'string', default: '6', takes: 'S', about: 'how long each measurement is' },
    json: { type: 'string', takes: 'FILE', about: 'where to write the results' },
  },
} as const satisfies CommandLine;

export const benchHttp = program(commandLine, async ({ values }) => {
  const rounds = wholeNumber('rounds', values.rounds, 100);
  const seconds = wholeNumber('seconds', values.seconds, 600);
  const device = findDevice();
  // Two workloads over two transports, each with its start and warm-up.
  const timeoutSeconds = 60 + rounds * 4 * (seconds + OVERHEAD_SECONDS);
  const measured = [String(seconds), String(rounds)];
  const output = await runMeasurement('http/compare.js', measured, device, timeoutSeconds);
  const comparison = JSON.parse(output) as Comparison;
  const where = device === undefined ? 'in the lab' : `on ${device.name}`;
  console.log(`\nhttp ${where}, Node ${comparison.node}, ${rounds} rounds: median [least, most]\n`);
  printTable(summarise(comparison.rows), new Set([0, 1]));
  if (device === undefined) console.log(`\n${labCaveat}`);
  if (values.json !== undefined) {
    writeFileSync(values.json, `${JSON.stringify({ where, ...comparison }, null, 2)}\n`);
  }
});
