/** What of {@link Results} is plotted: groups of bars, with a whisker each for the spread. */
import { factorsOf } from './factors';
import { showFactor, showFigures, showUnit } from './figure-text';
import { percentileNames, type Percentiles } from '../../lib/statistics';
import { measurementOf, type Measurement, type ResultWorkload, type Results } from './result-file';
import { spreadOf, type Spread } from '../../lib/statistics';

/** The bars of one contestant, one for each category; null where there is no figure. */
export interface Series {
  contestant: string;
  title: string;
  values: (Spread | null)[];
}

export interface Plot {
  title: string;
  /** What the categories are. */
  categoryTitle: string;
  /** What the bars are, with their unit. */
  valueTitle: string;
  /** Latencies reach over several powers of ten. */
  logarithmic: boolean;
  categories: string[];
  series: Series[];
  /** The same as text, and more of it; its header first. */
  table: string[][];
}

/** Plots with a common heading. */
export interface Section {
  title: string;
  /** What was measured, in a sentence or two. */
  about: string;
  plots: Plot[];
}

/** One bar of each contestant. */
interface Category {
  name: string;
  workload: ResultWorkload;
  values: (measurement: Measurement) => number[];
}

type PlotTexts = Pick<Plot, 'title' | 'categoryTitle' | 'valueTitle' | 'logarithmic'>;

const percentileTitles: Record<keyof Percentiles, string> = {
  p50: 'median',
  p90: '90 %',
  p99: '99 %',
  p999: '99.9 %',
};

function latencyOf(name: keyof Percentiles) {
  return (measurement: Measurement): number[] => measurement.latency?.[name] ?? [];
}

function milliseconds(values: number[]): number[] {
  return values.map((value) => value / 1000);
}

function tableOf(
  results: Results,
  { categoryTitle }: PlotTexts,
  categories: Category[],
  withFactors: boolean,
): string[][] {
  const [first, ...others] = results.contestants;
  const factorTitles = others.map(({ title }) => `${title} / ${first?.title ?? ''}`);
  const header = [
    categoryTitle,
    ...results.contestants.map(({ title }) => title),
    ...(withFactors ? factorTitles : []),
  ];
  const lines = categories.map(({ name, workload, values }) => {
    const cells = results.contestants.map((contestant) => {
      const measurement = measurementOf(results, workload.name, contestant.name);
      return showFigures(measurement === undefined ? [] : values(measurement));
    });
    const factors = others.map((other) =>
      showFigures(factorsOf(results, workload, other.name), showFactor),
    );
    return [name, ...cells, ...(withFactors ? factors : [])];
  });
  return [header, ...lines];
}

/** No plot where nobody has any figure for it. */
function plotOf(
  results: Results,
  texts: PlotTexts,
  categories: Category[],
  withFactors: boolean,
): Plot[] {
  const series = results.contestants.map(({ name, title }): Series => {
    const values = categories.map((category) => {
      const measurement = measurementOf(results, category.workload.name, name);
      const own = measurement === undefined ? [] : category.values(measurement);
      return own.length === 0 ? null : spreadOf(own);
    });
    return { contestant: name, title, values };
  });
  const taking = series.filter(({ values }) => values.some((value) => value !== null));
  if (taking.length === 0) return [];
  const names = categories.map(({ name }) => name);
  const table = tableOf(results, texts, categories, withFactors);
  return [{ ...texts, categories: names, series: taking, table }];
}

const figuresOf = ({ figures }: Measurement): number[] => figures;

function netPlots(results: Results): Plot[] {
  const of = (group: string): ResultWorkload[] =>
    results.workloads.filter((workload) => workload.group === group);
  const categories = (group: string, name: (workload: ResultWorkload) => string): Category[] =>
    of(group).map((workload) => ({ name: name(workload), workload, values: figuresOf }));
  const throughput = {
    title: 'Throughput, one connection, one way',
    categoryTitle: 'bytes of a write',
    valueTitle: 'MiB/s',
    logarithmic: false,
  };
  const both = { ...throughput, title: 'Throughput, one connection, there and back' };
  const turns = {
    title: 'Round trips, on average',
    categoryTitle: 'bytes of a write',
    valueTitle: 'µs',
    logarithmic: true,
  };
  const made = {
    title: 'New connections',
    categoryTitle: 'made at the same time',
    valueTitle: 'connections/s',
    logarithmic: false,
  };
  const roundTrips = of('round trip').flatMap((workload) => {
    const percentiles = percentileNames.map((name) => {
      return { name: percentileTitles[name], workload, values: latencyOf(name) };
    });
    const texts = {
      title: `Round trip of ${workload.size ?? ''}`,
      categoryTitle: 'of all round trips, this share takes at most so long',
      valueTitle: 'µs',
      logarithmic: true,
    };
    return plotOf(results, texts, percentiles, false);
  });
  return [
    ...plotOf(
      results,
      throughput,
      categories('throughput', ({ size }) => size ?? ''),
      true,
    ),
    ...plotOf(
      results,
      both,
      categories('there and back', ({ size }) => size ?? ''),
      true,
    ),
    ...plotOf(
      results,
      turns,
      categories('round trip', ({ size }) => size ?? ''),
      true,
    ),
    ...plotOf(
      results,
      made,
      categories('connects', ({ connections }) => String(connections)),
      true,
    ),
    ...roundTrips,
  ];
}

function httpPlots(results: Results, group: string): Plot[] {
  const own = results.workloads.filter((workload) => workload.group === group);
  const sizes = [...new Set(own.map(({ size }) => size ?? ''))];
  return sizes.flatMap((size) => {
    const workloads = own.filter((workload) => workload.size === size);
    const categories = (values: Category['values']): Category[] =>
      workloads.map((workload) => {
        return { name: workload.connections.toLocaleString('en-US'), workload, values };
      });
    const categoryTitle = 'connections';
    const [requests, latency] = [
      { title: `${group}, ${size}: requests`, valueTitle: showUnit('requests/s') },
      { title: `${group}, ${size}: 99 % are answered within`, valueTitle: 'ms' },
    ];
    return [
      ...plotOf(
        results,
        { ...requests, categoryTitle, logarithmic: false },
        categories(figuresOf),
        true,
      ),
      ...plotOf(
        results,
        { ...latency, categoryTitle, logarithmic: true },
        categories((each) => milliseconds(latencyOf('p99')(each))),
        false,
      ),
    ];
  });
}

const abouts = {
  net: 'Two programs of node:net, one connection, except where new connections are made.',
  http: 'autocannon and a server of node:http. Each connection has one request at a time.',
  https:
    'autocannon and a server of node:https, with TLS 1.3. Each connection has one request at a time.',
  http2:
    'A load generator over node:http2 and a server of node:http2, without TLS. Each connection has one ' +
    'request at a time.',
} as const;

/** Everything that is plotted, in the order of the page. */
export function sectionsOf(results: Results): Section[] {
  const sections = [
    { title: 'net', about: abouts.net, plots: netPlots(results) },
    ...(['http', 'https', 'http2'] as const).map((group) => {
      return { title: group, about: abouts[group], plots: httpPlots(results, group) };
    }),
  ];
  return sections.filter(({ plots }) => plots.length > 0);
}
