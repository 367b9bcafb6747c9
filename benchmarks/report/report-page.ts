/** The report: one HTML file with everything inline. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { root } from '../support/children';
import { factorsOf } from './factors';
import { showFactor, showFigure, showUnit } from './figure-text';
import { highlightsOf, type Highlight } from './highlights';
import { escapeHtml, htmlTable, scriptJson } from './html';
import { sectionsOf, type Plot, type Section } from './plots';
import { measurementOf, type Results } from './result-file';
import { spreadOf } from '../../lib/statistics';
import { labCaveat } from '../support/where';

/** Nothing is loaded from anywhere, whatever the page says. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/** Contestants that are in no result so far have the next colour of the style sheet. */
const COLOURS = ['tcp', 'local', 'rdma', 'smc', 'rstream', 'rstream -T b'];

function colourOf(contestant: string): number {
  const index = COLOURS.indexOf(contestant);
  return index < 0 ? COLOURS.length : index;
}

function legend(results: Results): string {
  const items = results.contestants.map(
    ({ name, title }) =>
      `<li style="--colour: var(--contestant-${colourOf(name)})">${escapeHtml(title)}</li>`,
  );
  return `<ul class="legend">${items.join('')}</ul>`;
}

function whereOf({ machine, hosts = 1 }: Results): string {
  if (!machine.lab) return hosts === 1 ? 'two processes of one host' : `${hosts} hosts`;
  if (hosts === 1) return 'the lab: an emulated guest with software RDMA';
  return `the lab: ${hosts} emulated guests with software RDMA`;
}

function facts(results: Results): string {
  const { machine, date, release, rounds, seconds } = results;
  const entries: [string, string][] = [
    ['Measured', `${date}, with rdma-net ${release}`],
    ['Where', whereOf(results)],
    ['Processors', `${machine.processors} × ${machine.processor}`],
    ['System', `${machine.platform}, kernel ${machine.kernel}, ${machine.memoryGibibytes} GiB`],
    ['Node', machine.node],
    ...(machine.device === null ? [] : [['RDMA device', machine.device] as [string, string]]),
    ['Rounds', `${rounds} of ${seconds} s, all transports in each, in rotated order`],
  ];
  const items = entries.map(([term, text]) => `<dt>${term}</dt><dd>${escapeHtml(text)}</dd>`);
  return `<dl class="facts">${items.join('\n')}</dl>`;
}

function card(results: Results, { title, workload }: Highlight): string {
  const [first, ...others] = results.contestants;
  const middle = (name: string): string => {
    const figures = measurementOf(results, workload.name, name)?.figures ?? [];
    return showFigure(spreadOf(figures).median);
  };
  const lines = others.flatMap(({ name, title }) => {
    const factors = factorsOf(results, workload, name);
    if (factors.length === 0) return [];
    return [
      `<li style="--colour: var(--contestant-${colourOf(name)})">` +
        `<span class="factor">${showFactor(spreadOf(factors).median)}</span>${escapeHtml(title)}` +
        `<div class="muted">${middle(first?.name ?? '')} → ${middle(name)} ` +
        `${showUnit(workload.unit)}</div></li>`,
    ];
  });
  if (lines.length === 0) return '';
  return `<div class="card"><h3>${escapeHtml(title)}</h3><ul>${lines.join('')}</ul></div>`;
}

/** A cell the stronger in colour the further it is from 1. */
function factorCell(factors: readonly number[]): string {
  if (factors.length === 0) return '<td>–</td>';
  const { median } = spreadOf(factors);
  const strength = Math.min(0.5, Math.abs(Math.log2(median)) * 0.22).toFixed(2);
  const tint = median >= 1 ? '--faster' : '--slower';
  return (
    `<td data-factor style="--tint: var(${tint}); --strength: ${strength}">` +
    `${showFactor(median)}</td>`
  );
}

/** Http at a glance: how many times as fast as the first, by body and connections. */
function factorTable(results: Results, contestant: string, title: string): string {
  const http = results.workloads.filter(
    (each) => each.group.startsWith('http') && factorsOf(results, each, contestant).length > 0,
  );
  const counts = [...new Set(http.map(({ connections }) => connections))];
  const rows = [...new Set(http.map(({ group, size }) => `${group}, ${size ?? ''}`))];
  if (rows.length === 0) return '';
  const lines = rows.map((row) => {
    const cells = counts.map((count) => {
      const workload = http.find(
        (each) => `${each.group}, ${each.size ?? ''}` === row && each.connections === count,
      );
      return factorCell(workload === undefined ? [] : factorsOf(results, workload, contestant));
    });
    return `<tr><td>${escapeHtml(row)}</td>${cells.join('')}</tr>`;
  });
  const heads = counts.map((count) => {
    return `<th>${count.toLocaleString('en-US')} connection${count === 1 ? '' : 's'}</th>`;
  });
  return (
    `<figure class="factors"><h3>${escapeHtml(title)}: requests, times ` +
    `${escapeHtml(results.contestants[0]?.title ?? '')}</h3>\n` +
    `<div class="scroll"><table class="factors"><thead><tr><th></th>${heads.join('')}</tr></thead>\n` +
    `<tbody>${lines.join('\n')}</tbody></table></div></figure>`
  );
}

function figure(plot: Plot, index: number): string {
  const text = escapeHtml(`${plot.title}, in ${plot.valueTitle}, by ${plot.categoryTitle}`);
  return (
    `<figure><h3>${escapeHtml(plot.title)}</h3>\n` +
    `<div class="plot"><canvas data-plot="${index}" role="img" aria-label="${text}"></canvas></div>\n` +
    `<details><summary>Figures</summary>${htmlTable(plot.table)}</details></figure>`
  );
}

/** Where a page has several results, their plots have numbers that go on. */
class Numbering {
  readonly plots: Plot[] = [];

  section(results: Results, { title, about, plots }: Section): string {
    const figures = plots.map((plot) => figure(plot, this.plots.push(plot) - 1));
    return (
      `<section><h2>${escapeHtml(title)}</h2>\n<p class="muted">${escapeHtml(about)}</p>\n` +
      `${legend(results)}\n<div class="plots">${figures.join('\n')}</div></section>`
    );
  }
}

function article(results: Results, numbering: Numbering): string {
  const cards = highlightsOf(results).map((highlight) => card(results, highlight));
  const tables = results.contestants
    .slice(1)
    .map(({ name, title }) => factorTable(results, name, title));
  const sections = sectionsOf(results).map((section) => numbering.section(results, section));
  const notes = [...(results.machine.lab ? [labCaveat] : []), ...(results.notes ?? [])];
  const note = notes.map((text) => `<p class="note">${escapeHtml(text)}</p>`).join('\n');
  return `<article>${facts(results)}\n${note}
<p>Bars are medians of the rounds, and whiskers reach from the least to the most. What is “times
${escapeHtml(results.contestants[0]?.title ?? '')}” is how many times as fast, of the same round.</p>
<div class="cards">${cards.join('\n')}</div>
${tables.join('\n')}
${sections.join('\n')}</article>`;
}

function library(): string {
  const file = path.join(root, 'node_modules', 'chart.js', 'dist', 'chart.umd.min.js');
  // A map that is not there would be asked for.
  return readFileSync(file, 'utf8').replace(/\n\/\/# sourceMappingURL=.*\s*$/, '\n');
}

/** @param all results, each with plots of its own below each other */
export function reportPage(all: readonly Results[]): string {
  const own = (file: string): string =>
    readFileSync(path.join(root, 'benchmarks', 'report', file), 'utf8');
  const numbering = new Numbering();
  const articles = all.map((results) => article(results, numbering));
  const data = numbering.plots.map(({ series, categories, ...plot }) => ({
    ...{ ...plot, table: undefined, categories },
    series: series.map((each) => ({ ...each, colour: colourOf(each.contestant) })),
  }));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>rdma-net benchmark</title>
<style>
${own('page.css')}</style>
</head>
<body>
<main>
<h1>rdma-net benchmark</h1>
${articles.join('\n<hr>\n')}
<footer>Made by <code>npm run bench -- report</code>. The plots are drawn by Chart.js.</footer>
</main>
<script type="application/json" id="plots">${scriptJson(data)}</script>
<script>${library()}</script>
<script>
${own('page.js')}</script>
</body>
</html>
`;
}
