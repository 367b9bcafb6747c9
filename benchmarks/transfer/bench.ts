/**
 * `npm run bench -- lab`: bulk transfers and round trips by rdma-net, rstream and ib_write_bw, in
 * interleaved rounds in one boot of the lab's guest, or with `--here` on this machine's RDMA device. What
 * is hoped for is printed beside the figures; to miss it is no failure.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { program, type CommandLine } from '../../test/command-line/program';
import { wholeNumber } from '../../test/command-line/options';
import { printTable } from '../support/table';
import type { TransferComparison } from './compare';
import type { Profiles } from './profile';
import { goalsOf, legend, linesOf, showGoal } from './report';
import { findDevice, labCaveat, runMeasurement, type Device } from '../support/where';
import { workloads } from './workloads';

const START_SECONDS = 120;
/** A transfer beside the time asked for: starting C programs, waiting until they listen. */
const OVERHEAD_SECONDS = 2;
const PROFILE_SECONDS = 600;

async function compare(rounds: number, seconds: number, device: Device | undefined) {
  const transfers = workloads.flatMap((workload) => workload.contestants).length;
  // Calibration is up to three transfers of each kind.
  const timeoutSeconds = START_SECONDS + (rounds + 3) * transfers * (seconds + OVERHEAD_SECONDS);
  const args = [String(rounds), String(seconds)];
  const output = await runMeasurement('transfer/compare.js', args, device, timeoutSeconds);
  return JSON.parse(output) as TransferComparison;
}

/** Writes the profiles of both sides into a folder, and prints where the time went. */
async function profile(folder: string, seconds: number, device: Device | undefined) {
  const output = await runMeasurement(
    'transfer/profile.js',
    [String(seconds)],
    device,
    PROFILE_SECONDS,
  );
  const profiles = JSON.parse(output) as Profiles;
  mkdirSync(folder, { recursive: true });
  for (const { name, side, profile, functions } of profiles) {
    const file = path.join(folder, `${name.replaceAll(' ', '-')}-${side}.cpuprofile`);
    writeFileSync(file, JSON.stringify(profile));
    console.log(`\n${name}, ${side}: ${file}\n`);
    const lines = functions.map(({ where, share }) => [(share * 100).toFixed(1), where]);
    printTable([['% of time', 'in'], ...lines], new Set([1]));
  }
}

const commandLine = {
  summary: 'transfers by rdma-net, rstream and ib_write_bw, with software RDMA in the lab',
  options: {
    rounds: { type: 'string', default: '5', takes: 'N', about: 'how many rounds' },
    seconds: { type: 'string', default: '1', takes: 'S', about: 'how long a transfer is' },
    here: { type: 'boolean', default: false, about: "on this machine's RDMA device" },
    profile: { type: 'string', takes: 'FOLDER', about: 'write processor profiles there instead' },
    json: { type: 'string', takes: 'FILE', about: 'where to write the results' },
  },
} as const satisfies CommandLine;

export const benchLab = program(commandLine, async ({ values }) => {
  const rounds = wholeNumber('rounds', values.rounds, 100);
  const seconds = wholeNumber('seconds', values.seconds, 600);
  const device = values.here ? findDevice() : undefined;
  if (values.here && device === undefined) throw new Error('there is no RDMA device here');
  if (values.profile !== undefined) return profile(values.profile, seconds, device);
  const comparison = await compare(rounds, seconds, device);
  const where = device === undefined ? 'in the lab' : `on ${device.name}`;
  console.log(
    `\ntransfers ${where}, Node ${comparison.node}, kernel ${comparison.kernel}, ` +
      `${comparison.processors} CPUs, ${rounds} rounds of ${seconds} s\n`,
  );
  printTable(linesOf(comparison), new Set([0, 1]));
  console.log(`\n${legend}\n`);
  const goals = goalsOf(comparison);
  for (const goal of goals) console.log(showGoal(goal));
  if (device === undefined) console.log(`\n${labCaveat}`);
  if (values.json !== undefined) {
    writeFileSync(values.json, `${JSON.stringify({ where, goals, ...comparison }, null, 2)}\n`);
  }
});
