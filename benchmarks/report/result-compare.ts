/** What has changed between two files of results. */
import { measurementOf, type Measurement, type ResultWorkload, type Results } from './result-file';
import { spreadOf, type Spread } from '../../lib/statistics';

export type Verdict = 'faster' | 'slower' | 'same';

/** One contestant at one workload, which both files have. */
export interface Change {
  workload: string;
  contestant: string;
  unit: string;
  before: Spread;
  after: Spread;
  /** How many times as fast it is now; the least and the most are what the rounds allow for. */
  factor: Spread;
  /** How far the factor has to be from 1 to be more than noise. */
  noise: number;
  verdict: Verdict;
}

/** What rounds differ by, as a share of their median. */
function widthOf(figures: readonly number[]): number {
  const { median, least, most } = spreadOf(figures);
  return (most - least) / median;
}

/** The width that is usual in a file: a few rounds may be close together by chance. */
function usualWidthOf({ measurements }: Results): number {
  return spreadOf(measurements.map(({ figures }) => widthOf(figures))).median;
}

function factorOf(workload: ResultWorkload, before: Spread, after: Spread): Spread {
  const [over, under] = workload.moreIsBetter ? [after, before] : [before, after];
  return {
    median: over.median / under.median,
    least: over.least / under.most,
    most: over.most / under.least,
  };
}

function changeOf(
  workload: ResultWorkload,
  [before, after]: [Measurement, Measurement],
  usual: [number, number],
  leastChange: number,
): Change {
  const spreads = [spreadOf(before.figures), spreadOf(after.figures)] as const;
  const factor = factorOf(workload, ...spreads);
  const widths = [
    Math.max(widthOf(before.figures), usual[0]),
    Math.max(widthOf(after.figures), usual[1]),
  ] as const;
  const noise = Math.max(leastChange, widths[0] + widths[1]);
  const verdict =
    factor.median > 1 + noise ? 'faster' : factor.median < 1 / (1 + noise) ? 'slower' : 'same';
  return {
    workload: workload.name,
    contestant: after.contestant,
    unit: workload.unit,
    before: spreads[0],
    after: spreads[1],
    ...{ factor, noise, verdict },
  };
}

/**
 * Everything that both have measured. A change counts if the medians differ by more than the rounds
 * of both do, where a measurement is thought to vary as others of its file, if not more.
 *
 * @param leastChange of a factor, whatever the spread
 */
export function changesOf(before: Results, after: Results, leastChange: number): Change[] {
  const usual: [number, number] = [usualWidthOf(before), usualWidthOf(after)];
  return after.workloads.flatMap((workload) =>
    after.contestants.flatMap(({ name }) => {
      const then = measurementOf(before, workload.name, name);
      const now = measurementOf(after, workload.name, name);
      if (then === undefined || now === undefined) return [];
      return [changeOf(workload, [then, now], usual, leastChange)];
    }),
  );
}

/** In what the conditions of two files differ, as lines of text. */
export function differencesOf(before: Results, after: Results): string[] {
  const conditions = ({ machine, hosts, seconds, rounds }: Results) => {
    const all: Record<string, unknown> = { ...machine, hosts: hosts ?? 1, seconds, rounds };
    return all;
  };
  const [then, now] = [conditions(before), conditions(after)];
  return Object.keys(now)
    .filter((name) => then[name] !== now[name])
    .map((name) => `${name}: ${String(then[name])}, then ${String(now[name])}`);
}
