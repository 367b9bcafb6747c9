/* global Chart, document, getComputedStyle, matchMedia */
'use strict';

/**
 * The script of the report, which carries it inline: draws a chart into every canvas, from the data
 * that stands in the page. `plots.ts` says what these data are.
 */

const plots = JSON.parse(document.getElementById('plots').textContent);
const canvases = [...document.querySelectorAll('canvas')];
const dark = matchMedia('(prefers-color-scheme: dark)');

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function showValue(value) {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

/** A line from the least to the most of the rounds, over each bar. */
const whiskers = {
  id: 'whiskers',
  afterDatasetsDraw(chart) {
    const { ctx, scales, chartArea } = chart;
    const inside = (y) => Math.min(Math.max(y, chartArea.top), chartArea.bottom);
    ctx.save();
    ctx.strokeStyle = colour('text');
    ctx.lineWidth = 1.25;
    chart.data.datasets.forEach((dataset, index) => {
      chart.getDatasetMeta(index).data.forEach((bar, category) => {
        const spread = dataset.spreads[category];
        if (!spread || dataset.data.length === 0) return;
        const [low, high] = [spread.least, spread.most].map((value) =>
          inside(scales.y.getPixelForValue(value)),
        );
        const cap = Math.min(5, bar.width / 4);
        ctx.beginPath();
        ctx.moveTo(bar.x, low);
        ctx.lineTo(bar.x, high);
        for (const y of [low, high]) {
          ctx.moveTo(bar.x - cap, y);
          ctx.lineTo(bar.x + cap, y);
        }
        ctx.stroke();
      });
    });
    ctx.restore();
  },
};

/** Powers of ten only: the numbers between them stand too close to each other. */
function logarithmicTick(value) {
  const power = Math.log10(value);
  return Math.abs(power - Math.round(power)) < 1e-9 ? value.toLocaleString('en-US') : '';
}

function rangeOf(plot) {
  const spreads = plot.series.flatMap(({ values }) => values.filter((value) => value !== null));
  const most = Math.max(...spreads.map((spread) => spread.most));
  if (!plot.logarithmic) return { min: 0, suggestedMax: most };
  // So far below the least that its bar can be seen.
  const least = Math.min(...spreads.map((spread) => spread.least));
  return { min: 10 ** Math.floor(Math.log10(least / 1.5)), suggestedMax: most };
}

function optionsOf(plot) {
  const [text, muted, grid] = ['text', 'muted', 'grid'].map(colour);
  const title = (content) => ({ display: true, text: content, color: muted });
  return {
    animation: false,
    responsive: true,
    maintainAspectRatio: false,
    minBarLength: 3,
    interaction: { mode: 'index', intersect: false },
    scales: {
      x: {
        title: title(plot.categoryTitle),
        ticks: { color: text },
        grid: { display: false },
        border: { color: muted },
      },
      y: {
        type: plot.logarithmic ? 'logarithmic' : 'linear',
        ...rangeOf(plot),
        title: title(plot.valueTitle),
        ticks: {
          color: text,
          maxTicksLimit: 6,
          ...(plot.logarithmic ? { callback: logarithmicTick, maxTicksLimit: 60 } : {}),
        },
        grid: { color: grid },
        border: { display: false },
      },
    },
    plugins: {
      legend: { display: false },
      tooltip: {
        callbacks: {
          label({ dataset, dataIndex }) {
            const { median, least, most } = dataset.spreads[dataIndex];
            const range = `${showValue(least)} to ${showValue(most)}`;
            return ` ${dataset.label}: ${showValue(median)} ${plot.valueTitle} (${range})`;
          },
        },
      },
    },
  };
}

function draw(canvas) {
  const plot = plots[Number(canvas.dataset.plot)];
  Chart.getChart(canvas)?.destroy();
  return new Chart(canvas, {
    type: 'bar',
    data: {
      labels: plot.categories,
      datasets: plot.series.map(({ title, colour: number, values }) => ({
        label: title,
        data: values.map((value) => value && value.median),
        spreads: values,
        backgroundColor: colour(`contestant-${number}`),
        borderRadius: 3,
        maxBarThickness: 46,
        categoryPercentage: 0.72,
        barPercentage: 0.92,
      })),
    },
    options: optionsOf(plot),
    plugins: [whiskers],
  });
}

function drawAll() {
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  canvases.forEach(draw);
}

drawAll();
dark.addEventListener('change', drawAll);
