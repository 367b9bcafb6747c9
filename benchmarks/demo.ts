/**
 * `npm start`: first two programs of this machine, over TCP and over shared memory. Then an unmodified
 * Node http server and autocannon, over TCP and over RDMA: on this machine's RDMA device if it has
 * one, else in a guest with the kernel's software RDMA.
 */
import type { Comparison, Row } from './http/compare';
import { localContestants } from './local/contestants';
import { legend, linesOf, textColumns } from './local/report';
import { shortWorkloads } from './local/workloads';
import { comparePairs } from './pair/compare';
import { printTable } from './support/table';
import { findDevice, labCaveat, runMeasurement } from './support/where';

const SECONDS = '6';
const TIMEOUT_SECONDS = 300;
const LOCAL_ROUNDS = 3;
const LOCAL_SECONDS = 0.6;

function cells(row: Row): string[] {
  const transports = Object.entries(row.transports).map(([name, count]) => `${count} ${name}`);
  return [
    row.workload,
    row.asked,
    row.requestsPerSecond.toFixed(0),
    row.latencyP50Ms.toFixed(1),
    row.latencyP99Ms.toFixed(1),
    (row.bytesPerSecond / 1e6).toFixed(2),
    transports.join(', '),
    String(row.serverQueuePairs),
  ];
}

async function showLocal(): Promise<void> {
  console.log('Two programs of this machine, unmodified, under the preload:\n');
  const rows = await comparePairs({
    address: '127.0.0.1',
    workloads: shortWorkloads,
    contestants: localContestants(false),
    rounds: LOCAL_ROUNDS,
    seconds: LOCAL_SECONDS,
    say: (text) => void process.stderr.write(`${text}\n`),
  });
  console.log();
  printTable(linesOf(rows, shortWorkloads), textColumns);
  console.log(`\n${legend}\n`);
}

async function showRdma(): Promise<void> {
  const device = findDevice();
  if (device !== undefined) {
    console.log(`RDMA device ${device.name} of this machine, address ${device.address}\n`);
  } else {
    console.log(
      'This machine has no RDMA device with an address, so this runs in the lab: a guest',
    );
    console.log(
      "with the kernel's software RDMA (rxe). The first time it is set up, with downloads.\n",
    );
  }
  const output = await runMeasurement('http/compare.js', [SECONDS], device, TIMEOUT_SECONDS);
  const comparison = JSON.parse(output) as Comparison;
  console.log(
    `\nexamples/http-server.js, unmodified, under the preload; Node ${comparison.node}\n`,
  );
  const header = [
    ...['workload', 'asked for', 'requests/s', 'p50 ms', 'p99 ms', 'MB/s'],
    ...['sockets say', 'queue pairs'],
  ];
  printTable([header, ...comparison.rows.map(cells)], new Set([0, 1, 6]));
  console.log(device === undefined ? `\n${labCaveat}` : '');
}

async function main(): Promise<void> {
  await showLocal();
  await showRdma();
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
