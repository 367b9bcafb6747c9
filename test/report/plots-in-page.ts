import type { Chromium } from './chromium';

/** What is to be seen of the bars of one contestant in one plot. */
export interface SeenSeries {
  title: string;
  /** Pixels in its colour within the plot's axes. */
  pixels: number;
}

export interface SeenPlot {
  /** The heading above it. */
  title: string;
  series: SeenSeries[];
}

/** Runs in the page: reads the pixels of every canvas. */
const look = `[...document.querySelectorAll('canvas')].map((canvas) => {
  const chart = Chart.getChart(canvas);
  const { left, top, width, height } = chart.chartArea;
  // A copy, for Chromium warns of a canvas that is read again and again.
  const copy = new OffscreenCanvas(canvas.width, canvas.height);
  const context = copy.getContext('2d', { willReadFrequently: true });
  context.drawImage(canvas, 0, 0);
  const { data } = context.getImageData(left, top, width, height);
  const counts = new Map();
  for (let at = 0; at < data.length; at += 4) {
    const colour = (data[at] << 16) | (data[at + 1] << 8) | data[at + 2];
    if (data[at + 3] === 255) counts.set(colour, (counts.get(colour) ?? 0) + 1);
  }
  const series = chart.data.datasets.map(({ label, backgroundColor }) => {
    const pixels = counts.get(parseInt(backgroundColor.slice(1), 16)) ?? 0;
    return { title: label, pixels };
  });
  return { title: canvas.closest('figure').querySelector('h3').textContent, series };
})`;

export async function plotsIn(chromium: Chromium): Promise<SeenPlot[]> {
  return (await chromium.evaluate(look)) as SeenPlot[];
}

/** Pixels that even the smallest bar has. */
const PIXELS_MIN = 20;

/** The plots, or the bars of a contestant in them, that show nothing. */
export function emptyOnes(plots: readonly SeenPlot[]): string[] {
  return plots.flatMap(({ title, series }) => {
    if (series.length === 0) return [title];
    const empty = series.filter(({ pixels }) => pixels < PIXELS_MIN);
    return empty.map((each) => `${title}: ${each.title}`);
  });
}
