/** What rdma-net costs a program whose peers have none: all of it is TCP, with the preload or without. */
import { rotated, spreadOf } from '../../lib/statistics';
import {
  contestants,
  Stage,
  type OverheadContestant,
  type OverheadFigure,
  type OverheadWorkload,
} from './stage';
import { compareStart, type StartRow } from './start';

export const workloads: readonly OverheadWorkload[] = ['requests', 'connects'];

/** One window. */
export interface OverheadRow extends OverheadFigure {
  workload: OverheadWorkload;
  contestant: OverheadContestant;
  set: number;
  round: number;
}

export interface OverheadRows {
  rows: OverheadRow[];
  starts: (StartRow & { set: number })[];
}

export interface OverheadOptions {
  /** How often all processes are started anew. */
  sets: number;
  /** Of windows, in each set. */
  rounds: number;
  /** Of a window. */
  seconds: number;
  say: (text: string) => void;
}

/** How long each does each, while its code is compiled. */
const WARM_UP_SECONDS = 1;

async function compareSet(set: number, options: OverheadOptions): Promise<OverheadRows> {
  const { rounds, seconds } = options;
  const stage = new Stage();
  const all: OverheadRows = { rows: [], starts: [] };
  try {
    await stage.set(WARM_UP_SECONDS);
    for (const workload of workloads) {
      for (const each of contestants) await stage.measure(workload, each, WARM_UP_SECONDS);
    }
    for (let round = 0; round < rounds; round++) {
      for (const workload of workloads) {
        for (const contestant of rotated(contestants, round)) {
          const figure = await stage.measure(workload, contestant, seconds);
          all.rows.push({ workload, contestant, set, round, ...figure });
        }
      }
    }
    await stage.end();
  } catch (error) {
    stage.kill();
    throw error;
  }
  for (let round = 0; round < rounds; round++) {
    for (const start of await compareStart(round)) all.starts.push({ ...start, set });
  }
  return all;
}

/**
 * Windows of all, one right after the other, in sets: a process is faster or slower than another of
 * the same program for as long as it lives, by more than what is looked for.
 */
export async function compareOverhead(options: OverheadOptions): Promise<OverheadRows> {
  const all: OverheadRows = { rows: [], starts: [] };
  for (let set = 0; set < options.sets; set++) {
    options.say(`set ${set + 1} of ${options.sets} ...`);
    const { rows, starts } = await compareSet(set, options);
    all.rows.push(...rows);
    all.starts.push(...starts);
  }
  return all;
}

/** Of each set the median of some rows. */
export function mediansOfSets<Row extends { set: number }>(
  rows: readonly Row[],
  figureOf: (row: Row) => number,
): number[] {
  const sets = new Map<number, number[]>();
  for (const row of rows) sets.set(row.set, [...(sets.get(row.set) ?? []), figureOf(row)]);
  return [...sets.values()].map((figures) => spreadOf(figures).median);
}
