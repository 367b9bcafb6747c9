/** What `npm run bench -- local` prints: a table, and how it stands to what is hoped for. */
import { LOCAL, SPINNING, TCP } from './contestants';
import type { LocalWorkload } from './workloads';
import type { PairRow } from '../pair/compare';
import { figures } from '../pair/workloads';
import { pairwise, showSpread, spreadOf } from '../../lib/statistics';

type Rows = readonly PairRow[];

function rowsOf(rows: Rows, workload: LocalWorkload, contestant: string): PairRow[] {
  return rows.filter((row) => row.workload === workload.name && row.contestant === contestant);
}

/** The ratio of the figures of each round, a contestant's to TCP's. */
function ratiosOf(rows: Rows, workload: LocalWorkload, contestant: string): number[] {
  const of = (name: string): number[] => rowsOf(rows, workload, name).map(({ figure }) => figure);
  return pairwise(of(contestant), of(TCP), (ours, theirs) => ours / theirs);
}

function line(rows: Rows, workload: LocalWorkload, contestant: string): string[] {
  const own = rowsOf(rows, workload, contestant);
  const { unit, digits, work } = figures[workload.figure];
  const cpu = own.map(({ cpuSeconds }) => cpuSeconds);
  return [
    workload.name,
    contestant,
    showSpread(
      own.map(({ figure }) => figure),
      digits,
    ),
    unit,
    contestant === TCP ? '' : showSpread(ratiosOf(rows, workload, contestant), 2),
    spreadOf(cpu).median.toFixed(2),
    work,
  ];
}

const header = ['workload', 'over', 'figure', '', 'of TCP', 'CPU s', 'for'];

/** The table, with its header first. Its text stands in the columns {@link textColumns}. */
export function linesOf(rows: Rows, workloads: readonly LocalWorkload[]): string[][] {
  const lines = workloads.flatMap((workload) =>
    [TCP, LOCAL, SPINNING]
      .filter((contestant) => rowsOf(rows, workload, contestant).length > 0)
      .map((contestant) => line(rows, workload, contestant)),
  );
  return [header, ...lines];
}

export const textColumns: ReadonlySet<number> = new Set([0, 1, 3, 6]);

/** What the columns mean. */
export const legend =
  'figure, of TCP: median [least, most] of the rounds; ratios are of the same round.\n' +
  'CPU s: of both processes, in seconds, for that much work.';

/** Something hoped for, and how far it came true. */
export interface LocalGoal {
  workload: string;
  contestant: string;
  verdict: 'reached' | 'least' | 'missed';
  /** The ratio of each round; their median decides. */
  ratios: number[];
  text: string;
}

function goal(rows: Rows, workload: LocalWorkload, contestant: string): LocalGoal {
  const { aim, least } = workload.hope;
  const { moreIsBetter } = figures[workload.figure];
  const ratios = ratiosOf(rows, workload, contestant);
  const { median } = spreadOf(ratios);
  const reaches = (wanted: number): boolean => (moreIsBetter ? median >= wanted : median <= wanted);
  const verdict = reaches(aim) ? 'reached' : reaches(least) ? 'least' : 'missed';
  const sign = moreIsBetter ? '>=' : '<=';
  const atLeast = aim === least ? '' : `, at least ${sign} ${least}`;
  const text = `${workload.name}: ${contestant} ${sign} ${aim} x TCP${atLeast}`;
  return { workload: workload.name, contestant, verdict, ratios, text };
}

/** What is hoped for of all that was measured. */
export function goalsOf(rows: Rows, workloads: readonly LocalWorkload[]): LocalGoal[] {
  return workloads.flatMap((workload) =>
    [LOCAL, SPINNING]
      .filter((contestant) => rowsOf(rows, workload, contestant).length > 0)
      .map((contestant) => goal(rows, workload, contestant)),
  );
}

const verdicts = { reached: 'reached   ', least: 'least only', missed: 'missed    ' };

/** A goal as a line of text. */
export function showGoal({ verdict, text, ratios }: LocalGoal): string {
  return `${verdicts[verdict]} ${text}: ${showSpread(ratios, 2)}`;
}
