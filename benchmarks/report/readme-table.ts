/** Tables of the README and of docs/benchmarks.md, which are made of results and never typed. */
import { factorsOf } from './factors';
import { showFactor, showFigure, showFigures, showUnit } from './figure-text';
import { highlightsOf, type Highlight } from './highlights';
import { describeMachine } from '../support/machine';
import { labCaveat } from '../support/where';
import { measurementOf, type Results } from './result-file';
import { spreadOf } from '../../lib/statistics';

/** A table in a page, between {@link markersOf} its part, and the file in results/ it is made of. */
export const keptTables = [
  { file: 'one-host.json', page: 'README.md', part: 'benchmarks' },
  { file: 'lab.json', page: 'docs/benchmarks.md', part: 'lab' },
  { file: 'two-hosts.json', page: 'docs/benchmarks.md', part: 'two-hosts' },
] as const;

/** Between which a part of a page is made. */
export function markersOf(part: string): { begin: string; end: string } {
  return { begin: `<!-- ${part}:begin -->`, end: `<!-- ${part}:end -->` };
}

/** With more contestants, a table with columns for each would be too wide. */
const WIDE_CONTESTANTS_MAX = 3;

/** A line for each contestant. */
function longLines(results: Results, { title, workload }: Highlight): string[][] {
  return results.contestants.flatMap(({ name, title: by }, index) => {
    const own = measurementOf(results, workload.name, name);
    if (own === undefined) return [];
    const factors = index === 0 ? '' : showFigures(factorsOf(results, workload, name), showFactor);
    return [[title, by, showUnit(workload.unit), showFigures(own.figures), factors]];
  });
}

function line(results: Results, { title, workload }: Highlight): string[] {
  const cells = results.contestants.flatMap(({ name }, index) => {
    const own = measurementOf(results, workload.name, name);
    const figure = own === undefined ? '–' : showFigure(spreadOf(own.figures).median);
    const factors = factorsOf(results, workload, name);
    return index === 0 ? [figure] : [figure, showFigures(factors, showFactor)];
  });
  return [title, showUnit(workload.unit), ...cells];
}

/** Aligned as Prettier aligns tables, which would change it otherwise. */
function markdown(lines: string[][], textColumns: number): string[] {
  const columns = lines[0]?.length ?? 0;
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(4, ...lines.map((cells) => cells[column]?.length ?? 0)),
  );
  const isText = (column: number): boolean => column < textColumns;
  const row = (cells: string[]): string =>
    `| ${cells
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return isText(column) ? cell.padEnd(width) : cell.padStart(width);
      })
      .join(' | ')} |`;
  const rule = widths.map((width, column) =>
    isText(column) ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`,
  );
  const [header = [], ...rest] = lines;
  return [row(header), `| ${rule.join(' | ')} |`, ...rest.map(row)];
}

function whereOf({ machine, hosts = 1 }: Results): string {
  if (hosts > 1) return machine.lab ? 'two guests of the lab' : 'two hosts';
  return machine.lab ? 'two programs of one guest' : 'two programs of one host';
}

function tableOf(results: Results): string[] {
  const [first, ...others] = results.contestants;
  const [where, times] = [whereOf(results), `times ${first?.title ?? ''}`];
  const highlights = highlightsOf(results);
  if (results.contestants.length > WIDE_CONTESTANTS_MAX) {
    const lines = highlights.flatMap((highlight) => longLines(results, highlight));
    return markdown([[where, 'by', 'unit', 'figure', times], ...lines], 3);
  }
  const header = [
    ...[where, 'unit', first?.title ?? ''],
    ...others.flatMap(({ title }) => [title, times]),
  ];
  return markdown([header, ...highlights.map((highlight) => line(results, highlight))], 2);
}

/** What stands between the markers. */
export function readmeTable(results: Results): string {
  const { rounds, machine, notes = [] } = results;
  return [
    ...tableOf(results),
    '',
    `Medians of ${rounds} rounds; “times ${results.contestants[0]?.title ?? ''}” is how many times as ` +
      'fast, of the same round, with the least and the',
    `most. On ${describeMachine(machine)}.`,
    ...(machine.lab ? ['', labCaveat] : []),
    ...notes.flatMap((note) => ['', note]),
  ].join('\n');
}

/** @throws Error where the text has no such part */
export function replaceTable(text: string, part: string, table: string): string {
  const markers = markersOf(part);
  const begin = text.indexOf(markers.begin);
  const end = text.indexOf(markers.end);
  if (begin < 0 || end < begin) throw new Error(`no ${markers.begin} with ${markers.end} after it`);
  return `${text.slice(0, begin)}${markers.begin}\n\n${table}\n\n${text.slice(end)}`;
}

/** What stands between the markers of a part. */
export function tableIn(text: string, part: string): string {
  const { begin, end } = markersOf(part);
  const [, rest = ''] = text.split(begin, 2);
  return rest.slice(0, Math.max(0, rest.indexOf(end))).trim();
}
