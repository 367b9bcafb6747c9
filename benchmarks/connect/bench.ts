/**
 * `npm run bench -- connect`: what the choice of a transport adds to
 * a connection to a peer without RDMA, the first and the second of a process and later ones. On this
 * machine the answers of RDMA come from memory, and what is measured is JavaScript and its timers;
 * with `--lab` they come from software RDMA in the lab's guest, and times are divided by what an
 * emulated processor takes longer. What is hoped for is printed beside the figures; to miss it is no
 * failure.
 */
import { writeFileSync } from 'node:fs';
import type { ConnectTimes } from './client';
import { AGAIN, PLAIN, compareConnects, startServer, type ConnectComparison } from './compare';
import { program, type CommandLine } from '../../test/command-line/program';
import { wholeNumber } from '../../test/command-line/options';
import { pairwise, showSpread, spreadOf } from '../../lib/statistics';
import { printTable } from '../support/table';
import { runMeasurement } from '../support/where';

const HOST = '127.0.0.1';
const LATER = 300;
const LAB_TIMEOUT_SECONDS = 600;

async function compareHere(rounds: number): Promise<ConnectComparison> {
  const { server, port } = await startServer(HOST);
  const there = { address: HOST, port };
  const results = await compareConnects(
    [
      { name: PLAIN, ...there, preload: false },
      { name: AGAIN, ...there, preload: false },
      { name: 'preload', ...there, preload: true },
      { name: 'RDMA refused', ...there, preload: false, standIn: 'refused' },
      { name: 'RDMA silent', ...there, preload: false, standIn: 'silent' },
    ],
    rounds,
    LATER,
  );
  server.kill();
  return { node: process.version, slowness: 1, rounds: results };
}

async function compareInLab(rounds: number): Promise<ConnectComparison> {
  const output = await runMeasurement(
    'connect/in-lab.js',
    [String(rounds)],
    undefined,
    LAB_TIMEOUT_SECONDS,
  );
  return JSON.parse(output) as ConnectComparison;
}

type Figure = (times: ConnectTimes) => number;

const figures: Record<string, Figure> = {
  first: ({ first }) => first.ms,
  second: ({ second }) => second.ms,
  later: ({ laterMs }) => laterMs,
};

function valuesOf({ rounds, slowness }: ConnectComparison, name: string, of: Figure): number[] {
  return rounds.flatMap((round) => (round[name] === undefined ? [] : [of(round[name]) / slowness]));
}

/** How much longer than over plain Node in the same round. */
function excessOf(comparison: ConnectComparison, name: string, of: Figure): number[] {
  const plain = valuesOf(comparison, PLAIN, of);
  return pairwise(valuesOf(comparison, name, of), plain, (ours, theirs) => ours - theirs);
}

function linesOf(comparison: ConnectComparison): string[][] {
  const names = Object.keys(comparison.rounds[0] ?? {}).sort();
  const lines = names.flatMap((name) =>
    Object.entries(figures).map(([connection, of]) => {
      const sample = comparison.rounds[0]?.[name];
      const one = connection === 'first' ? sample?.first : sample?.second;
      return [
        name,
        connection,
        showSpread(valuesOf(comparison, name, of), 2),
        name === PLAIN ? '' : showSpread(excessOf(comparison, name, of), 2),
        connection === 'later' ? '' : String(one?.turns ?? ''),
        connection === 'later' ? '' : (one?.reason ?? ''),
      ];
    }),
  );
  return [['contestant', 'connection', 'ms', 'over plain', 'turns', 'reason'], ...lines];
}

const hopes: [string, string, number][] = [
  ['RDMA refused', 'first', 30],
  ['RDMA silent', 'first', 60],
];

function showHopes(comparison: ConnectComparison): void {
  for (const [name, connection, mostMs] of hopes) {
    const excess = excessOf(comparison, name, figures[connection] ?? (() => NaN));
    const verdict = spreadOf(excess).median <= mostMs ? 'reached' : 'missed ';
    console.log(
      `${verdict} ${name}, ${connection} connection: at most ${mostMs} ms over plain Node: ` +
        showSpread(excess, 2),
    );
  }
}

const commandLine = {
  summary: 'what choosing a transport adds to connections to a peer without RDMA',
  options: {
    rounds: { type: 'string', default: '7', takes: 'N', about: 'how many rounds' },
    lab: { type: 'boolean', default: false, about: "in the lab's guest, with software RDMA" },
    json: { type: 'string', takes: 'FILE', about: 'where to write the results' },
  },
} as const satisfies CommandLine;

export const benchConnect = program(commandLine, async ({ values }) => {
  const rounds = wholeNumber('rounds', values.rounds, 100);
  const comparison = await (values.lab ? compareInLab(rounds) : compareHere(rounds));
  console.log(
    `\nconnections to a peer without RDMA, Node ${comparison.node}, ${rounds} rounds` +
      `${values.lab ? `, in the lab, times divided by ${comparison.slowness}` : ''}\n`,
  );
  printTable(linesOf(comparison), new Set([0, 1, 5]));
  console.log(
    '\nms, over plain: median [least, most] of the rounds, a new process in each; later: the median of\n' +
      'many connections. turns: of the event loop, in the first round.\n',
  );
  showHopes(comparison);
  if (values.json !== undefined) {
    writeFileSync(values.json, `${JSON.stringify(comparison, null, 2)}\n`);
  }
});
