/**
 * `npm run bench -- local`: two programs of this machine over shared memory and over TCP, in interleaved
 * rounds.
 * What is hoped for is printed beside the figures; to miss it is no failure, but it is one if sockets
 * did not run on shared memory, or if bytes did not arrive. `--only` takes the workloads with TEXT in
 * their names; `--itself` compares TCP with itself, which tells how far to trust the figures.
 */
import { writeFileSync } from 'node:fs';
import os from 'node:os';
import { localContestants } from './contestants';
import { profileLocally } from './profile';
import { goalsOf, legend, linesOf, showGoal, textColumns } from './report';
import { localWorkloads } from './workloads';
import { UsageError } from '../../lib/commands/command';
import { program, type CommandLine } from '../../test/command-line/program';
import { positiveSeconds, wholeNumber } from '../../test/command-line/options';
import { comparePairs } from '../pair/compare';
import { printTable } from '../support/table';

/** Long enough for some thousand requests. */
const SECONDS = '0.6';

const commandLine = {
  summary: 'two programs of this machine over shared memory and over TCP',
  options: {
    rounds: { type: 'string', default: '5', takes: 'N', about: 'how many rounds' },
    seconds: {
      type: 'string',
      default: SECONDS,
      takes: 'S',
      about: 'how long each measurement is',
    },
    only: {
      type: 'string',
      default: '',
      takes: 'TEXT',
      about: 'workloads with TEXT in their names',
    },
    itself: { type: 'boolean', default: false, about: 'TCP with itself: how far to trust figures' },
    profile: { type: 'string', takes: 'FOLDER', about: 'write processor profiles there instead' },
    json: { type: 'string', takes: 'FILE', about: 'where to write the results' },
  },
} as const satisfies CommandLine;

export const benchLocal = program(commandLine, async ({ values }) => {
  const rounds = wholeNumber('rounds', values.rounds, 100);
  const seconds = positiveSeconds(values.seconds);
  const workloads = localWorkloads.filter(({ name }) => name.includes(values.only));
  if (workloads.length === 0) {
    const names = localWorkloads.map(({ name }) => name).join('\n  ');
    throw new UsageError(
      `no workload has ${JSON.stringify(values.only)} in its name; there are\n  ${names}`,
    );
  }
  const options = {
    address: '127.0.0.1',
    workloads,
    contestants: localContestants(values.itself),
    rounds,
    seconds,
    say: (text: string) => void process.stderr.write(`${text}\n`),
  };
  if (values.profile !== undefined) return profileLocally(values.profile, options);
  const rows = await comparePairs(options);
  console.log(
    `\none machine, two processes, Node ${process.version}, kernel ${os.release()}, ` +
      `${os.cpus().length} CPUs, ${rounds} rounds of ${seconds} s\n`,
  );
  if (values.itself) console.log('What is called shared memory here is TCP once more.\n');
  printTable(linesOf(rows, workloads), textColumns);
  console.log(`\n${legend}\n`);
  const goals = goalsOf(rows, workloads);
  for (const goal of goals) console.log(showGoal(goal));
  if (values.json !== undefined) {
    const where = { node: process.version, kernel: os.release(), processors: os.cpus().length };
    writeFileSync(values.json, `${JSON.stringify({ ...where, goals, rows }, null, 2)}\n`);
  }
});
