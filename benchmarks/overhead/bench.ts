/**
 * `npm run bench -- overhead [--rounds N] [--seconds S] [--json FILE]`: what the preload costs where
 * all is TCP, because the peer has none: requests of autocannon to an http server, connections that
 * are made and ended, and the start of Node. All in interleaved rounds, as a ratio to Node without
 * it; `none` is that Node, whose ratio to the round before shows how far the others can be trusted.
 */
import { writeFileSync } from 'node:fs';
import os from 'node:os';
import { parseArgs } from 'node:util';
import { positiveSeconds, wholeNumber } from '../support/options';
import {
  compareOverhead,
  compareStart,
  contestants,
  overheadUnits,
  type OverheadContestant,
  type OverheadRow,
  type OverheadWorkload,
} from './compare';
import { pairwise, showSpread, spreadOf } from '../../lib/statistics';
import { printTable } from '../support/table';

/** The least that the median ratio has to be. */
const least: Record<OverheadWorkload, number> = { requests: 0.99, connects: 0.97 };
const START_MS_MAX = 10;

function figuresOf(rows: OverheadRow[], workload: OverheadWorkload, name: OverheadContestant) {
  const own = rows.filter((row) => row.workload === workload && row.contestant === name);
  return own.map(({ figure }) => figure);
}

function ratiosOf(rows: OverheadRow[], workload: OverheadWorkload, name: OverheadContestant) {
  const plain = figuresOf(rows, workload, 'none');
  // Nobody is faster or slower than itself, but for the noise.
  if (name === 'none') {
    return pairwise(plain.slice(1), plain.slice(0, -1), (now, before) => now / before);
  }
  return pairwise(figuresOf(rows, workload, name), plain, (ours, theirs) => ours / theirs);
}

function linesOf(rows: OverheadRow[]): string[][] {
  const workloads = Object.keys(overheadUnits) as OverheadWorkload[];
  return workloads.flatMap((workload) =>
    contestants.map((name) => {
      const ratios = ratiosOf(rows, workload, name);
      const isReached = spreadOf(ratios).median >= least[workload];
      return [
        workload,
        name,
        showSpread(figuresOf(rows, workload, name), 0),
        overheadUnits[workload],
        showSpread(ratios, 3),
        name === 'none' ? '' : `>= ${least[workload]} ${isReached ? 'reached' : 'missed'}`,
      ];
    }),
  );
}

export async function benchOverhead(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: 'string', default: '15' },
      seconds: { type: 'string', default: '1' },
      json: { type: 'string' },
    },
  });
  const rounds = wholeNumber('rounds', values.rounds, 1000);
  const seconds = positiveSeconds(values.seconds);
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  const rows = await compareOverhead({ rounds, seconds, say });
  say('starting Node ...');
  const starts = await compareStart(rounds);
  console.log(
    `\nTCP on one machine, Node ${process.version}, kernel ${os.release()}, ` +
      `${os.cpus().length} CPUs, ${rounds} rounds of ${seconds} s\n`,
  );
  const header = ['workload', 'preload', 'figure', '', 'of none', 'wanted'];
  printTable([header, ...linesOf(rows)], new Set([0, 1, 3, 5]));
  const isReached = spreadOf(starts).median <= START_MS_MAX;
  console.log(
    `\nThe start of Node takes ${showSpread(starts, 1)} ms longer with the preload ` +
      `(<= ${START_MS_MAX} ${isReached ? 'reached' : 'missed'}).\n` +
      'Figures and ratios: median [least, most] of the rounds; ratios are of the same round,\n' +
      'but for none, where they are to the round before. used: after a run over shared memory.',
  );
  if (values.json !== undefined) {
    const where = { node: process.version, kernel: os.release(), processors: os.cpus().length };
    writeFileSync(values.json, `${JSON.stringify({ ...where, starts, rows }, null, 2)}\n`);
  }
}
