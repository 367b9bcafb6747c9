/**
 * The measurement of `npm run bench -- lab`, on the machine (or guest) it runs on: the same transfers
 * by everyone in {@link contestants}, in interleaved rounds. Prints one line of JSON, a
 * {@link TransferComparison}, and progress on standard error.
 *
 *     node dist/benchmarks/transfer/compare.js ADDRESS ROUNDS SECONDS
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import os from 'node:os';
import { calibrate } from '../../lib/bench/calibrate';
import type { Measured } from '../pair/transfer-pair';
import { contestants, type Contestant } from './contestants';
import { rotated } from '../../lib/statistics';
import type { Transfer } from '../pair/transfer-peer';
import { workloads, type Workload } from './workloads';

/** One transfer by one contestant. */
export interface TransferRow extends Measured {
  workload: string;
  contestant: string;
  round: number;
  transfer: Transfer;
  /** Processors that were busy while it ran, and the share of that in the kernel. */
  busyProcessors: number;
  kernelShare: number;
}

export interface TransferComparison {
  node: string;
  kernel: string;
  processors: number;
  rdma: string;
  rows: TransferRow[];
}

/** Ticks of all processors: total, idle, and in the kernel with its interrupts. */
function ticks(): { total: number; idle: number; kernel: number } {
  const fields = readFileSync('/proc/stat', 'latin1').split('\n')[0]?.trim().split(/\s+/).slice(1);
  const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, hard = 0, soft = 0] = (
    fields ?? []
  ).map(Number);
  const kernel = system + hard + soft;
  return { total: user + nice + kernel + idle + wait, idle: idle + wait, kernel };
}

async function measure(
  workload: Workload,
  name: string,
  contestant: Contestant,
  round: number,
  transfer: Transfer,
): Promise<TransferRow> {
  const before = ticks();
  const measured = await contestant.transfer(transfer);
  const after = ticks();
  const total = after.total - before.total;
  const busy = total - (after.idle - before.idle);
  return {
    workload: workload.name,
    contestant: name,
    round,
    transfer,
    ...measured,
    busyProcessors: (busy / total) * os.cpus().length,
    kernelShare: (after.kernel - before.kernel) / busy,
  };
}

async function main(): Promise<void> {
  const [address = '', rounds = '1', seconds = '1'] = process.argv.slice(2);
  const say = (text: string): boolean => process.stderr.write(`${text}\n`);
  say('starting Node ...');
  const all = await contestants(address);
  const find = (name: string): Contestant => {
    const contestant = all[name];
    if (contestant === undefined) throw new Error(`nobody is called ${name}`);
    return contestant;
  };
  const sizes = new Map<string, Transfer>();
  for (const workload of workloads) {
    for (const name of workload.contestants) {
      say(`calibrating ${workload.name}, ${name} ...`);
      const size = await calibrate(workload, find(name), Number(seconds));
      sizes.set(`${workload.name} ${name}`, size);
    }
  }
  const rows: TransferRow[] = [];
  for (let round = 0; round < Number(rounds); round++) {
    for (const workload of workloads) {
      say(`round ${round + 1} of ${rounds}: ${workload.name} ...`);
      for (const name of rotated(workload.contestants, round)) {
        const transfer = sizes.get(`${workload.name} ${name}`) as Transfer;
        rows.push(await measure(workload, name, find(name), round, transfer));
      }
    }
  }
  for (const contestant of Object.values(all)) await contestant.end();
  const comparison: TransferComparison = {
    node: process.version,
    kernel: os.release(),
    processors: os.cpus().length,
    rdma: execFileSync('rdma', ['link'], { encoding: 'utf8' }).trim(),
    rows,
  };
  process.stdout.write(`${JSON.stringify(comparison)}\n`);
}

main().catch((error: unknown) => {
  console.error(error);
  // What takes part may still run, and would keep the guest.
  process.exit(1);
});
