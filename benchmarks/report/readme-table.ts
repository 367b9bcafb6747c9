/** The table of the README, which is made of results and never typed. */
import { factorsOf } from './factors';
import { showFactor, showFigure, showFigures, showUnit } from './figure-text';
import { highlightsOf, type Highlight } from './highlights';
import { describeMachine } from '../support/machine';
import { measurementOf, type Results } from './result-file';
import { spreadOf } from '../../lib/statistics';

export const BEGIN = '<!-- benchmarks:begin -->';
export const END = '<!-- benchmarks:end -->';

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

/** What stands between the markers. */
export function readmeTable(results: Results): string {
  const [first, ...others] = results.contestants;
  const header = [
    'two programs of one host',
    'unit',
    first?.title ?? '',
    ...others.flatMap(({ title }) => [title, `times ${first?.title ?? ''}`]),
  ];
  const lines = highlightsOf(results).map((highlight) => line(results, highlight));
  const { rounds, machine } = results;
  return [
    ...markdown([header, ...lines], 2),
    '',
    `Medians of ${rounds} rounds; “times ${first?.title ?? ''}” is how many times as fast, of the ` +
      'same round, with the least and the',
    `most. On ${describeMachine(machine)}.`,
  ].join('\n');
}

/** @throws Error where the text has no such place */
export function replaceTable(readme: string, table: string): string {
  const begin = readme.indexOf(BEGIN);
  const end = readme.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`no ${BEGIN} with ${END} after it`);
  return `${readme.slice(0, begin)}${BEGIN}\n\n${table}\n\n${readme.slice(end)}`;
}

/** What stands between the markers of a text. */
export function tableIn(readme: string): string {
  const [, rest = ''] = readme.split(BEGIN, 2);
  return rest.slice(0, Math.max(0, rest.indexOf(END))).trim();
}
