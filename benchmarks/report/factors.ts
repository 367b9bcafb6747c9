import { measurementOf, type ResultWorkload, type Results } from './result-file';
import { pairwise } from '../../lib/statistics';

/**
 * How many times as fast a contestant was as the first one, in each round: more is better, whatever
 * the figures are. Empty where one of them did not take part.
 */
export function factorsOf(
  results: Results,
  workload: ResultWorkload,
  contestant: string,
): number[] {
  const own = measurementOf(results, workload.name, contestant);
  const first = measurementOf(results, workload.name, results.contestants[0]?.name ?? '');
  if (own === undefined || first === undefined) return [];
  return pairwise(own.figures, first.figures, (ours, theirs) =>
    workload.moreIsBetter ? ours / theirs : theirs / ours,
  );
}
