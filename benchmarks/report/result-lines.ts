/** Results as a table of text. */
import { factorsOf } from './factors';
import { measurementOf, type ResultWorkload, type Results } from './result-file';
import { showSpread, spreadOf } from '../../lib/statistics';

const header = ['workload', 'over', 'figure', '', 'x first', 'p50 us', 'p99 us', 'CPU s', 'for'];

/** How many digits behind the point a figure deserves. */
export function digitsFor(figure: number): number {
  return figure >= 100 ? 0 : figure >= 10 ? 1 : 2;
}

function linesOf(results: Results, workload: ResultWorkload): string[][] {
  return results.contestants.flatMap(({ name, title }, index) => {
    const own = measurementOf(results, workload.name, name);
    if (own === undefined) return [];
    const { figures, latency, cpuSeconds } = own;
    const middle = (list: number[] | undefined): string =>
      list === undefined ? '' : spreadOf(list).median.toFixed(0);
    return [
      [
        workload.name,
        title,
        showSpread(figures, digitsFor(spreadOf(figures).median)),
        workload.unit,
        index === 0 ? '' : showSpread(factorsOf(results, workload, name), 2),
        middle(latency?.p50),
        middle(latency?.p99),
        cpuSeconds === undefined ? '' : spreadOf(cpuSeconds).median.toFixed(2),
        cpuSeconds === undefined ? '' : workload.work,
      ],
    ];
  });
}

/** The table, with its header first. Its text stands in the columns {@link resultTextColumns}. */
export function resultLines(results: Results): string[][] {
  return [header, ...results.workloads.flatMap((workload) => linesOf(results, workload))];
}

export const resultTextColumns: ReadonlySet<number> = new Set([0, 1, 3, 8]);

export const resultLegend =
  'figure, x first: median [least, most] of the rounds; x first is how many times as fast as the\n' +
  'first transport, of the same round. p50, p99: of single requests, round trips or connects; medians of the rounds.\n' +
  'CPU s: of both processes, in seconds, for that much work.';
