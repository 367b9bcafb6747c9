/**
 * `npm run bench -- overhead`: what the preload
 * costs where all is TCP, because the peer has none: requests of autocannon to an http server,
 * connections that are made and ended, and the start of Node. Short windows of all alternate, and
 * each is compared with Node without the preload in the same round, by its rate and by the processor
 * time of the side that has the preload. `again` is that Node in another process: its ratio shows how
 * far the others can be trusted.
 */
import { writeFileSync } from 'node:fs';
import os from 'node:os';
import { showSpread, spreadOf } from '../../lib/statistics';
import { program, type CommandLine } from '../../test/command-line/program';
import { positiveSeconds, wholeNumber } from '../../test/command-line/options';
import { printTable } from '../support/table';
import {
  compareOverhead,
  mediansOfSets,
  workloads,
  type OverheadRow,
  type OverheadRows,
} from './compare';
import { contestants, type OverheadContestant, type OverheadWorkload } from './stage';
import type { StartRow } from './start';

/** The least that the median ratio has to be. */
const least: Record<OverheadWorkload, number> = { requests: 0.99, connects: 0.97 };
const START_MS_MAX = 10;

function costOf({ clientMicroseconds, serverMicroseconds }: OverheadRow, name: string): number {
  return name.endsWith('server') ? serverMicroseconds : clientMicroseconds;
}

/** Of each set: how many times as good as `none` it is, in the median of the rounds. */
function ratiosOf(
  rows: readonly OverheadRow[],
  name: OverheadContestant,
  over: (own: OverheadRow, plain: OverheadRow) => number,
): number[] {
  const plain = rows.filter(({ contestant }) => contestant === 'none');
  return mediansOfSets(
    rows.filter(({ contestant }) => contestant === name),
    (own) => {
      const other = plain.find(({ set, round }) => set === own.set && round === own.round);
      return other === undefined ? NaN : over(own, other);
    },
  );
}

/** Fewer medians do not lie on both sides of the true one in 94 of 100 cases. */
const SETS_MIN = 5;

/**
 * Whether a limit is kept, as far as that can be told.
 * @param control ratios of plain Node to itself: where these break the limit nothing can be told
 */
function verdict(ratios: readonly number[], control: readonly number[], limit: number): string {
  const noise = spreadOf(control);
  if (control.length < SETS_MIN) return `>= ${limit} too few sets`;
  if (noise.least < limit || noise.most > 1 / limit) return `>= ${limit} too noisy`;
  const { least: lowest, most } = spreadOf(ratios);
  if (lowest >= limit) return `>= ${limit} reached`;
  return most < limit ? `>= ${limit} missed` : `>= ${limit} open`;
}

function linesOf(rows: OverheadRow[]): string[][] {
  return workloads.flatMap((workload) => {
    const own = rows.filter((row) => row.workload === workload);
    const faster = (one: OverheadRow, plain: OverheadRow): number => one.rate / plain.rate;
    const control = ratiosOf(own, 'again', faster);
    return contestants.map((name) => {
      const figures = own.filter(({ contestant }) => contestant === name);
      const rates = ratiosOf(own, name, faster);
      const costs = ratiosOf(own, name, (one, plain) => costOf(plain, name) / costOf(one, name));
      return [
        workload,
        name,
        spreadOf(figures.map(({ rate }) => rate)).median.toFixed(0),
        spreadOf(figures.map((row) => costOf(row, name))).median.toFixed(1),
        ...(name === 'none' ? ['', '', ''] : [showSpread(rates, 3), showSpread(costs, 3)]),
        ...(name === 'none' || name === 'again' ? [] : [verdict(rates, control, least[workload])]),
      ];
    });
  });
}

function startLine(starts: OverheadRows['starts'], name: StartRow['contestant']): string {
  const own = starts.filter(({ contestant }) => contestant === name);
  const wall = mediansOfSets(own, ({ wallMs }) => wallMs);
  const cpu = mediansOfSets(own, ({ cpuMs }) => cpuMs);
  return `${showSpread(wall, 1)} ms, ${showSpread(cpu, 1)} ms of the processor`;
}

const commandLine = {
  summary: 'what the preload costs where all is TCP',
  options: {
    sets: { type: 'string', default: '6', takes: 'N', about: 'how often all processes are new' },
    rounds: { type: 'string', default: '10', takes: 'N', about: 'how many rounds a set has' },
    seconds: { type: 'string', default: '0.25', takes: 'S', about: 'how long a measurement is' },
    json: { type: 'string', takes: 'FILE', about: 'where to write the results' },
  },
} as const satisfies CommandLine;

export const benchOverhead = program(commandLine, async ({ values }) => {
  const sets = wholeNumber('sets', values.sets, 100);
  const rounds = wholeNumber('rounds', values.rounds, 1000);
  const seconds = positiveSeconds(values.seconds);
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  const { rows, starts } = await compareOverhead({ sets, rounds, seconds, say });
  console.log(
    `\nTCP on one machine, Node ${process.version}, kernel ${os.release()}, ` +
      `${os.cpus().length} CPUs, ${sets} sets of ${rounds} rounds of ${seconds} s\n`,
  );
  const header = ['workload', 'preload', '1/s', 'CPU us', 'rate', 'CPU', 'wanted'];
  printTable([header, ...linesOf(rows)], new Set([0, 1, 6]));
  console.log(
    `\nThe start of Node takes longer with the preload by ${startLine(starts, 'preload')}\n` +
      `(<= ${START_MS_MAX} ms wanted), and without it by ${startLine(starts, 'again')}.\n` +
      'rate and CPU: how many times as good as none; the median of the sets [least, most], each\n' +
      'of which is the median of its rounds. used: after a run over shared memory. open: the limit\n' +
      'lies between the sets. too noisy: plain Node breaks the limit against itself.',
  );
  if (values.json !== undefined) {
    const where = { node: process.version, kernel: os.release(), processors: os.cpus().length };
    writeFileSync(values.json, `${JSON.stringify({ ...where, starts, rows }, null, 2)}\n`);
  }
});
