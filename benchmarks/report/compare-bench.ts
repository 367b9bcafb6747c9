/**
 * `npm run bench -- compare A.json B.json [--least-change 0.05] [--all]`: how many times as fast B is as
 * A, at everything that both have. Shows what changed by more than the noise, or with `--all`
 * everything. The exit status is 0 where nothing became slower, 1 where something did, and 2 where
 * they cannot be compared.
 */
import { showFactor, showFigure, showUnit } from './figure-text';
import { changesOf, differencesOf, type Change } from './result-compare';
import { readResults, type Results } from './result-file';
import type { Spread } from '../../lib/statistics';
import { program, type CommandLine, type Parsed } from '../../test/command-line/program';
import { printTable } from '../support/table';

function lineOf(change: Change): string[] {
  const show = (spread: Spread, each: (value: number) => string): string =>
    `${each(spread.median)} [${each(spread.least)}, ${each(spread.most)}]`;
  return [
    change.workload,
    change.contestant,
    show(change.before, showFigure),
    show(change.after, showFigure),
    showUnit(change.unit),
    show(change.factor, showFactor),
    `±${(change.noise * 100).toFixed(0)} %`,
    change.verdict === 'same' ? '' : change.verdict,
  ];
}

const header = ['workload', 'over', 'A', 'B', '', 'B as fast as A', 'noise', ''];

function print(before: Results, after: Results, changes: Change[], all: boolean): void {
  const differences = differencesOf(before, after);
  if (differences.length > 0) {
    console.log(`They were not measured alike:\n  ${differences.join('\n  ')}\n`);
  }
  const shown = changes.filter(({ verdict }) => all || verdict !== 'same');
  if (shown.length > 0) printTable([header, ...shown.map(lineOf)], new Set([0, 1, 4, 7]));
  const count = (wanted: string): number =>
    changes.filter(({ verdict }) => verdict === wanted).length;
  console.log(
    `${shown.length > 0 ? '\n' : ''}${changes.length} compared: ${count('slower')} slower, ` +
      `${count('faster')} faster, ${count('same')} the same within the noise`,
  );
}

const commandLine = {
  summary: 'what has become faster or slower from one file of results to another',
  about: `Status: 0 if nothing became slower, 1 if something did, 2 if that cannot be told.`,
  operands: 'A.json B.json',
  options: {
    'least-change': { type: 'string', default: '0.05', takes: 'PART', about: 'what counts as one' },
    all: { type: 'boolean', default: false, about: 'show what is the same, too' },
  },
} as const satisfies CommandLine;

function compare({ values, positionals }: Parsed<typeof commandLine>): number {
  const [first, second, ...more] = positionals;
  const leastChange = Number(values['least-change']);
  if (first === undefined || second === undefined || more.length > 0) {
    throw new Error('compare wants two files of results');
  }
  if (!(leastChange >= 0)) throw new Error('--least-change wants a number, 0.05 for 5 %');
  const [before, after] = [readResults(first), readResults(second)];
  const changes = changesOf(before, after, leastChange);
  if (changes.length === 0) throw new Error('they have nothing in common');
  print(before, after, changes, values.all);
  return changes.some(({ verdict }) => verdict === 'slower') ? 1 : 0;
}

export const benchCompare = program(commandLine, (given) => {
  try {
    process.exitCode = compare(given);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 2;
  }
});
