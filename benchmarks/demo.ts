/**
 * `npm start`: an unmodified Node http server and autocannon, over TCP and then over RDMA: on this
 * machine's RDMA device if it has one, else in a guest with the kernel's software RDMA.
 */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Writable } from 'node:stream';
import { promisify } from 'node:util';
import { labAvailability, runInLab } from '../test/lab/lab';
import { root } from './children';
import type { Comparison, Row } from './http-compare';

const LAB_ADDRESS = '10.77.0.1';
const script = path.join(root, 'dist', 'benchmarks', 'http-compare.js');

/** An IPv4 address that belongs to an RDMA device of this machine, if there is one. */
function deviceAddress(): { device: string; address: string } | undefined {
  const folder = '/sys/class/infiniband';
  const interfaces = os.networkInterfaces();
  try {
    for (const device of readdirSync(folder)) {
      const netdevs = path.join(folder, device, 'ports', '1', 'gid_attrs', 'ndevs');
      for (const entry of readdirSync(netdevs)) {
        const name = readFileSync(path.join(netdevs, entry), 'utf8').trim();
        const found = interfaces[name]?.find(({ family }) => family === 'IPv4');
        if (found !== undefined) return { device, address: found.address };
      }
    }
  } catch {
    // No such folder, or an entry that cannot be read: no device with an address.
  }
  return undefined;
}

async function compareHere(address: string): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [script, address]);
  return stdout;
}

async function compareInLab(): Promise<string> {
  let output = '';
  const collect = new Writable({
    write(chunk: Buffer, _encoding, done) {
      output += chunk.toString();
      done();
    },
  });
  const { status } = await runInLab({
    command: process.execPath,
    args: [script, LAB_ADDRESS],
    // An emulated processor needs longer for a handshake than the default is made for.
    env: { RDMA_NET_HEAD_START_MS: '20000' },
    cpus: 2,
    memoryMebibytes: 2048,
    timeoutSeconds: 300,
    stdout: collect,
    stderr: process.stderr,
  });
  if (status !== 0) throw new Error(`the measurement in the lab ended with status ${status}`);
  return output;
}

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

function printTable(comparison: Comparison): void {
  const header = [
    ...['workload', 'asked for', 'requests/s', 'p50 ms', 'p99 ms', 'MB/s'],
    ...['sockets say', 'queue pairs'],
  ];
  const lines = [header, ...comparison.rows.map(cells)];
  const widths = header.map((_, i) => Math.max(...lines.map((line) => line[i]?.length ?? 0)));
  const isText = (column: number): boolean => [0, 1, 6].includes(column);
  for (const line of lines) {
    const padded = line.map((text, i) =>
      isText(i) ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0),
    );
    console.log(`  ${padded.join('   ')}`);
  }
}

async function main(): Promise<void> {
  const here = deviceAddress();
  let output: string;
  if (here !== undefined) {
    console.log(`RDMA device ${here.device} of this machine, address ${here.address}\n`);
    output = await compareHere(here.address);
  } else {
    console.log(
      'This machine has no RDMA device with an address, so this runs in the lab: a guest',
    );
    console.log(
      "with the kernel's software RDMA (rxe). The first time it is set up, with downloads.\n",
    );
    const availability = await labAvailability();
    if (!availability.available) throw new Error(`the lab cannot be had: ${availability.reason}`);
    output = await compareInLab();
  }
  const comparison = JSON.parse(output) as Comparison;
  console.log(
    `\nexamples/http-server.js, unmodified, under the preload; Node ${comparison.node}\n`,
  );
  printTable(comparison);
  console.log(
    here === undefined
      ? '\nSoftware RDMA shows that everything works, not how fast it is: it pays a system call and a\n' +
          'copy for each message, and the processor is emulated. Ratios say something on hardware only.'
      : '',
  );
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
