/** What `npm run bench -- lab` prints: a table, and how it stands to what is hoped for. */
import { pairwise, showSpread, spreadOf } from '../../lib/statistics';
import type { TransferComparison, TransferRow } from './compare';
import { figureOf, workloads, type Workload } from './workloads';

type Rows = readonly TransferRow[];

function rowsOf(rows: Rows, workload: Workload, contestant: string): TransferRow[] {
  return rows.filter((row) => row.workload === workload.name && row.contestant === contestant);
}

/** The figure of each round. */
function figuresOf(rows: Rows, workload: Workload, contestant: string): number[] {
  return rowsOf(rows, workload, contestant).map((row) =>
    figureOf(workload, row.transfer, row.seconds),
  );
}

/** The median of what the rows tell; a dash where they tell nothing. */
function median(rows: Rows, digits: number, of: (row: TransferRow) => number | undefined): string {
  const values = rows.map(of).filter((value) => value !== undefined && !Number.isNaN(value));
  return values.length === 0 ? '-' : spreadOf(values as number[]).median.toFixed(digits);
}

/** A counter of both sides together, where both have it. */
function counter(row: TransferRow, name: string): number | undefined {
  const { client, server } = row.spent ?? {};
  const [here, there] = [client?.counters[name], server?.counters[name]];
  return here === undefined || there === undefined ? undefined : here + there;
}

function quotient(row: TransferRow, above: string, below: string): number | undefined {
  const [numerator, denominator] = [counter(row, above), counter(row, below)];
  if (numerator === undefined || denominator === undefined) return undefined;
  return numerator / denominator;
}

/** How many MiB, or round trips, a row has: what counters are told by. */
function unitsOf({ transfer: { bytes, count, turns, echo } }: TransferRow, workload: Workload) {
  if (workload.figure === 'round trip') return turns;
  return (bytes * count * turns * (echo ? 2 : 1)) / 2 ** 20;
}

function eachUnit(workload: Workload, name: string) {
  return (row: TransferRow): number | undefined => {
    const value = counter(row, name);
    return value === undefined ? undefined : value / unitsOf(row, workload);
  };
}

/** Milliseconds of processor time of both Node processes for a MiB, or for a round trip. */
function processorTime(workload: Workload) {
  return (row: TransferRow): number | undefined => {
    if (row.spent === undefined) return undefined;
    const seconds = Object.values(row.spent).map((side) => side.userSeconds + side.systemSeconds);
    return (seconds.reduce((sum, each) => sum + each, 0) * 1e3) / unitsOf(row, workload);
  };
}

function line(rows: Rows, workload: Workload, contestant: string): string[] {
  const own = rowsOf(rows, workload, contestant);
  const ofNet = figuresOf(rows, workload, 'rdma-net');
  const figures = figuresOf(rows, workload, contestant);
  const isNet = contestant === 'rdma-net';
  const percent = (part: string, whole: string) => (row: TransferRow) => {
    const share = isNet ? quotient(row, part, whole) : undefined;
    return share === undefined ? undefined : share * 100;
  };
  const forNet = (of: (row: TransferRow) => number | undefined) => (row: TransferRow) =>
    isNet ? of(row) : undefined;
  return [
    workload.name,
    contestant,
    showSpread(figures, workload.figure === 'rate' ? 2 : 0),
    isNet ? '' : showSpread(pairwise(ofNet, figures, ratio), 2),
    median(own, 1, (row) => row.busyProcessors),
    median(own, 0, (row) => row.kernelShare * 100),
    median(own, workload.figure === 'rate' ? 1 : 3, processorTime(workload)),
    median(own, 1, percent('bytesSentCopied', 'bytesSent')),
    median(own, 1, percent('bytesReceivedCopied', 'bytesReceived')),
    median(own, 1, forNet(eachUnit(workload, 'workRequests'))),
    median(own, 1, forNet(eachUnit(workload, 'creditStalls'))),
    median(own, 1, forNet(eachUnit(workload, 'wakeUps'))),
    median(
      own,
      1,
      forNet((row) => quotient(row, 'completions', 'wakeUps')),
    ),
  ];
}

function ratio(left: number, right: number): number {
  return left / right;
}

const header = [
  ...['transfer', 'by', 'figure', 'rdma-net / this', 'CPUs', 'kernel %', 'Node ms'],
  ...['% copied: sent', 'received', 'requests', 'stalls', 'wake-ups', 'completions / wake-up'],
];

/** The table, with its header first. */
export function linesOf({ rows }: Pick<TransferComparison, 'rows'>): string[][] {
  return [
    header,
    ...workloads.flatMap((workload) =>
      workload.contestants.map((contestant) => line(rows, workload, contestant)),
    ),
  ];
}

/** What the columns mean. */
export const legend =
  'figure: MiB a second, or microseconds of a round trip; median [least, most] of the rounds.\n' +
  'rdma-net / this: within each round. CPUs: busy in all, and the share of that in the kernel.\n' +
  'Node ms, requests, stalls, wake-ups: both sides, for a MiB or a round trip.\n' +
  'rstream calls in a loop without waiting; with -T b it sleeps, as Node does. -T s is TCP.';

/** Something hoped for, with what it is judged by. */
export interface Goal {
  text: string;
  /** One of each round; their median decides. */
  values: number[];
  digits: number;
  met: boolean;
}

function workloadOf(name: string): Workload {
  const workload = workloads.find((each) => each.name === name);
  if (workload === undefined) throw new Error(`there is no workload ${name}`);
  return workload;
}

function rateGoal(rows: Rows, name: string, other: string, least: number): Goal {
  const workload = workloadOf(name);
  const of = (contestant: string): number[] => figuresOf(rows, workload, contestant);
  const values = pairwise(of('rdma-net'), of(other), ratio);
  const met = spreadOf(values).median >= least;
  return { text: `${name}: rdma-net / ${other} >= ${least}`, values, digits: 2, met };
}

/** Compares what Node adds to a round trip over RDMA with what it adds over TCP. */
function roundTripGoal(rows: Rows): Goal {
  const workload = workloadOf('64 B round trip');
  const of = (contestant: string): number[] => figuresOf(rows, workload, contestant);
  const minus = (left: number, right: number): number => left - right;
  const addedOnRdma = pairwise(of('rdma-net'), of('rstream'), minus);
  const addedOnTcp = pairwise(of('Node TCP'), of('rstream -T s'), minus);
  const values = pairwise(addedOnRdma, addedOnTcp, minus);
  const text =
    '64 B round trip: (rdma-net - rstream) - (Node TCP - rstream -T s) <= 0 us; the two are ' +
    `${showSpread(addedOnRdma, 0)} and ${showSpread(addedOnTcp, 0)}`;
  return { text, values, digits: 0, met: spreadOf(values).median <= 0 };
}

/** What is hoped for, and whether it came true. */
export function goalsOf({ rows }: Pick<TransferComparison, 'rows'>): Goal[] {
  return [
    rateGoal(rows, '1 MiB there and back', 'rstream', 1),
    rateGoal(rows, '1 MiB one way', 'ib_write_bw', 0.95),
    roundTripGoal(rows),
  ];
}

/** A goal as a line of text. */
export function showGoal({ text, values, digits, met }: Goal): string {
  return `${met ? 'met   ' : 'missed'} ${text}: ${showSpread(values, digits)}`;
}
