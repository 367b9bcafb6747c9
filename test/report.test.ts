/** The report of `npm run bench`, opened in Chromium: what has to be seen there is seen. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import t, { type Test } from 'tap';
import { root } from '../benchmarks/support/children';
import { sectionsOf } from '../benchmarks/report/plots';
import { reportPage } from '../benchmarks/report/report-page';
import { readResults, type Results } from '../benchmarks/report/result-file';
import { LabUnavailable } from './lab/execute';
import { ensurePackages } from './lab/packages';
import { Chromium } from './report/chromium';
import { emptyOnes, plotsIn } from './report/plots-in-page';
import { fixture } from './report/results';

const SIZE = { width: 1200, height: 900 };
const kept = path.join(root, 'benchmarks', 'results');

/** Why there is no Chromium, if there is none. */
async function whyNot(): Promise<string | undefined> {
  try {
    await ensurePackages(['chromium'], (line) => void process.stderr.write(`${line}\n`));
    return undefined;
  } catch (error) {
    if (error instanceof LabUnavailable) return error.message;
    throw error;
  }
}

/** The plots that results give, each with who has bars in it. */
function expected(all: readonly Results[]): { title: string; series: string[] }[] {
  const sections = all.flatMap(sectionsOf);
  return sections.flatMap(({ plots }) =>
    plots.map(({ title, series }) => ({ title, series: series.map((each) => each.title) })),
  );
}

/** Pictures for people to look at, where they want some. */
async function takePictures(chromium: Chromium): Promise<void> {
  const { SCREENSHOTS } = process.env;
  if (SCREENSHOTS === undefined) return;
  for (const scheme of ['light', 'dark'] as const) {
    await chromium.setColourScheme(scheme);
    writeFileSync(path.join(SCREENSHOTS, `report-${scheme}.png`), await chromium.screenshot());
  }
}

function lookAt(t: Test, chromium: Chromium, folder: string) {
  const file = path.join(folder, 'report.html');
  const show = async (all: readonly Results[]): Promise<void> => {
    writeFileSync(file, reportPage(all));
    await chromium.open(file, SIZE);
  };
  const background = (): Promise<unknown> =>
    chromium.evaluate('getComputedStyle(document.body).backgroundColor');

  t.test('every plot shows the bars of everyone, in light and in dark', async (t) => {
    await show([fixture()]);
    const backgrounds = [];
    for (const scheme of ['light', 'dark'] as const) {
      await chromium.setColourScheme(scheme);
      const plots = await plotsIn(chromium);
      const seen = plots.map(({ title, series }) => {
        return { title, series: series.map((each) => each.title) };
      });
      t.same(seen, expected([fixture()]));
      t.same(emptyOnes(plots), [], `nothing is empty in ${scheme}`);
      backgrounds.push(await background());
    }
    t.not(backgrounds[0], backgrounds[1], 'light and dark differ');
  });

  t.test('a plot that shows nothing is noticed', async (t) => {
    await show([fixture()]);
    await chromium.evaluate(`(() => {
      const chart = Chart.getChart(document.querySelectorAll('canvas')[1]);
      chart.data.datasets[1].data = [];
      chart.update();
    })()`);
    await chromium.nextFrame();
    t.same(emptyOnes(await plotsIn(chromium)), ['Round trips, on average: shared memory']);
  });

  t.test('the results that are kept are seen in every plot of one page', async (t) => {
    const files = readdirSync(kept).filter((name) => name.endsWith('.json'));
    const all = files.map((name) => readResults(path.join(kept, name)));
    await show(all);
    const plots = await plotsIn(chromium);
    t.equal(plots.length, expected(all).length);
    t.same(emptyOnes(plots), []);
    await takePictures(chromium);
  });

  t.test('the page asks for nothing, and there is no error on its console', async (t) => {
    const loaded = await chromium.evaluate("performance.getEntriesByType('resource').length");
    t.equal(loaded, 0);
    t.same(chromium.complaints, []);
    await chromium.evaluate("console.error('noticed')");
    t.match(chromium.complaints, [/noticed/]);
  });
}

void (async () => {
  const reason = await whyNot();
  if (reason !== undefined) {
    if (process.env.CI) t.fail(`Chromium must be there in CI: ${reason}`);
    else t.pass('the report in Chromium', { skip: reason });
    return;
  }
  await t.test('the report in Chromium', async (t) => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'rdma-net-report-'));
    const chromium = await Chromium.start();
    t.teardown(async () => {
      await chromium.end();
      rmSync(folder, { recursive: true });
    });
    lookAt(t, chromium, folder);
  });
})();
