/** What is made of the results of `npm run bench`: files, tables, changes, plots. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import t from 'tap';
import { root } from '../../benchmarks/support/children';
import { LoadWindow } from '../../benchmarks/pair/load-window';
import { matrixWorkloads } from '../../benchmarks/matrix/workloads';
import { chosen, wholeNumbers } from '../command-line/options';
import { sectionsOf } from '../../benchmarks/report/plots';
import {
  keptTables,
  markersOf,
  readmeTable,
  replaceTable,
  tableIn,
} from '../../benchmarks/report/readme-table';
import { reportPage } from '../../benchmarks/report/report-page';
import { changesOf, differencesOf, type Change } from '../../benchmarks/report/result-compare';
import {
  checkResults,
  joinResults,
  readResults,
  showResults,
  type Results,
} from '../../benchmarks/report/result-file';
import { resultLines } from '../../benchmarks/report/result-lines';
import { fixture, machine, withFigures, workloads } from '../report/results';

const HELLO = 'http hello world, 100 connections';
const kept = path.join(root, 'benchmarks', 'results');

t.test('answers count once all connections are there, until as many have come again', (t) => {
  const window = new LoadWindow(2, 0);
  t.equal(window.connected(), 'more to come');
  t.equal(window.answered(1), 'open');
  t.equal(window.answered(1), 'open', 'one is not connected yet');
  t.equal(window.connected(), 'last');
  t.equal(window.answered(1), 'open');
  t.equal(window.answered(1), 'open', 'from now on');
  t.equal(window.answered(5), 'open');
  t.equal(window.answered(7), 'over');
  t.equal(window.answered(9), 'over');
  t.match(window.result(), { requests: 2, requestsInAll: 7, latency: { p50: 5000, p99: 7000 } });
  t.end();
});

t.test('lists of names and numbers are read, and what is wrong in them is said', (t) => {
  t.same(chosen('bodies', 'b, a', ['a', 'b', 'c']), ['b', 'a']);
  t.throws(() => chosen('bodies', 'a,d', ['a', 'b']), /--bodies has "d"; expected some of a,b/);
  t.throws(() => chosen('bodies', 'a,a', ['a', 'b']), /twice/);
  t.same(wholeNumbers('connections', '1,10', 100), [1, 10]);
  t.throws(() => wholeNumbers('connections', '1,x', 100), /--connections is "x"/);
  t.end();
});

t.test('the matrix is what was chosen, and every name in it is there once', (t) => {
  const names = matrixWorkloads({
    protocols: ['net', 'http', 'http2'],
    bodies: ['hello', '1MiB'],
    connections: [1, 1000],
  }).map(({ result }) => result.name);
  t.equal(new Set(names).size, names.length);
  t.ok(names.includes('http2 1 MiB body, 1000 connections'));
  t.notOk(names.some((name) => name.startsWith('https')));
  const http = matrixWorkloads({ protocols: ['http'], bodies: ['hello'], connections: [10] });
  t.match(http, [{ result: { group: 'http', unit: 'requests/s', bytes: 0, connections: 10 } }]);
  t.equal(http.length, 1);
  t.end();
});

t.test('results are the same after they were written and read', (t) => {
  const written = showResults(fixture());
  t.same(checkResults(JSON.parse(written)), fixture());
  const lines = written.split('\n').filter((line) => line.includes('"figures"'));
  t.equal(lines.length, fixture().measurements.length, 'one line for each');
  t.end();
});

t.test('results may be without processor time, and with some percentiles alone', (t) => {
  const results = fixture();
  const measurements = results.measurements.map(({ workload, contestant, figures }) => {
    return { workload, contestant, figures, latency: { p99: figures } };
  });
  const less = checkResults({ ...results, measurements });
  const [header = [], line = []] = resultLines(less);
  t.same(
    ['figure', 'p50 us', 'p99 us', 'CPU s'].map((name) => line[header.indexOf(name)]),
    ['100 [90, 110]', '', '100', ''],
  );
  const latencies = sectionsOf(less).flatMap(({ plots }) => plots.map(({ title }) => title));
  t.ok(latencies.includes('http, hello world: 99 % are answered within'));
  t.end();
});

t.test('what is no file of results is refused, with what is wrong and the file', (t) => {
  const broken = (change: (results: Results) => object): (() => void) => {
    return () => void checkResults(change(fixture()));
  };
  t.throws(() => checkResults([]), /not a rdma-net benchmark/);
  t.throws(
    broken((results) => ({ ...results, version: 2 })),
    /version 2; .* version 1/,
  );
  t.throws(
    broken((results) => ({ ...results, workloads: {} })),
    /no list workloads/,
  );
  t.throws(
    broken((results) => ({ ...results, workloads: workloads.slice(1) })),
    /of an unknown workload: 64 KiB writes, tcp/,
  );
  t.throws(
    broken((results) => withFigures(results, HELLO, 'local', [1, 2])),
    /without 3 numbers as its figures: http hello world, 100 connections, local/,
  );
  t.throws(() => readResults(__filename), new RegExp(path.basename(__filename)));
  t.end();
});

t.test('results of parts are joined, the later ones win, and others are refused', (t) => {
  const [first, ...rest] = workloads;
  const name = first?.name ?? '';
  const of = (results: Results, own: boolean): Results => ({
    ...results,
    workloads: own ? workloads.slice(0, 1) : rest,
    measurements: results.measurements.filter(({ workload }) => (workload === name) === own),
  });
  const joined = joinResults(of(fixture(), true), of(fixture(), false));
  t.same(joined, fixture());
  const later = withFigures(of(fixture(), true), name, 'tcp', [1, 2, 3]);
  const again = joinResults(fixture(), later);
  t.equal(again.measurements.length, fixture().measurements.length);
  t.same(
    again.measurements.filter(({ workload }) => workload === name).map(({ figures }) => figures),
    [
      [1, 2, 3],
      [300, 290, 310],
    ],
  );
  const elsewhere = { ...fixture(), machine: { ...machine, processors: 3 } };
  t.throws(() => joinResults(fixture(), elsewhere), /different machines/);
  t.throws(() => joinResults(fixture(), { ...fixture(), hosts: 2 }), /different machines/);
  t.throws(() => joinResults(fixture(), { ...fixture(), rounds: 4 }), /rounds/);
  const notes = [`${name}, tcp: failed`, 'of all'];
  const noted = { ...fixture(), notes };
  t.same(joinResults(noted, of(fixture(), true)).notes, ['of all'], 'it was measured again');
  t.same(joinResults(noted, of(fixture(), false)).notes, notes);
  t.end();
});

t.test('the table in the terminal has a line for each, and how many times as fast it is', (t) => {
  const [header = [], ...lines] = resultLines(fixture());
  t.equal(lines.length, fixture().measurements.length);
  const cell = (workload: string, over: string, column: string) =>
    lines.find(([name, title]) => name === workload && title === over)?.[header.indexOf(column)];
  t.equal(cell('64 KiB writes', 'shared memory', 'x first'), '3.00 [2.82, 3.22]');
  t.equal(cell('64 KiB writes', 'TCP', 'x first'), '');
  t.equal(cell('64 B round trip', 'shared memory', 'x first'), '0.33 [0.31, 0.35]', 'it is slower');
  t.end();
});

t.test('a table is put between the markers of its part, and nothing else changes', (t) => {
  const table = readmeTable(fixture());
  const row = table.split('\n').find((line) => line.includes('writes of 64 KiB')) ?? '';
  t.same(
    row.split('|').map((cell) => cell.trim()),
    ['', 'net: writes of 64 KiB', 'MiB/s', '100', '300', '3.00× [2.82×, 3.22×]', ''],
  );
  t.match(table, /Processor of Nobody.*Node v20\.0\.0/);
  const { begin, end } = markersOf('one');
  const around = `${markersOf('other').begin}\nbefore\n\n${begin}`;
  const before = `${around}\n\nold\n\n${end}\n\nafter\n`;
  const after = replaceTable(before, 'one', table);
  t.equal(after, `${around}\n\n${table}\n\n${end}\n\nafter\n`);
  t.equal(tableIn(after, 'one'), table);
  t.equal(replaceTable(after, 'one', table), after);
  t.throws(() => replaceTable('no markers', 'one', table), /no <!-- one:begin -->/);
  t.end();
});

t.test('with many who took part, each has a line of its own, and notes are below', (t) => {
  const many = ['tcp', 'local', 'a', 'b'].map((name) => ({ name, title: name }));
  const table = readmeTable({ ...fixture(), contestants: many, hosts: 2, notes: ['b was late'] });
  const rows = table.split('\n').map((row) => row.split('|').map((cell) => cell.trim()));
  t.match(rows[0], ['', 'two hosts', 'by', 'unit', 'figure', 'times tcp']);
  const writes = rows.filter(([, title]) => title === 'net: writes of 64 KiB');
  t.same(writes, [
    ['', 'net: writes of 64 KiB', 'tcp', 'MiB/s', '100 [90.0, 110]', '', ''],
    ...[
      ['', 'net: writes of 64 KiB', 'local', 'MiB/s', '300 [290, 310]', '3.00× [2.82×, 3.22×]', ''],
    ],
  ]);
  t.match(table, /\n\nb was late$/);
  t.end();
});

t.test('the pages have the tables of the results that are kept, all of them', (t) => {
  for (const { file, page, part } of keptTables) {
    const text = readFileSync(path.join(root, page), 'utf8');
    const table = readmeTable(readResults(path.join(kept, file)));
    t.equal(tableIn(text, part), table, `${file} in ${page}: npm run bench -- readme`);
  }
  const files = readdirSync(kept).filter((name) => name.endsWith('.json'));
  t.same(files.toSorted(), keptTables.map(({ file }) => file).toSorted());
  t.end();
});

t.test('the results that are kept can be read, and tell nothing of whose machine it was', (t) => {
  const files = readdirSync(kept).filter((name) => name.endsWith('.json'));
  t.ok(files.length > 0);
  for (const file of files) {
    const text = readFileSync(path.join(kept, file), 'utf8');
    checkResults(JSON.parse(text));
    t.notOk(text.includes(`"${os.hostname()}`), file);
    t.notMatch(text, /\/(root|home|work|tmp)\//, file);
  }
  t.end();
});

function changeOf(workload: string, after: number[], leastChange = 0.05): Change | undefined {
  const results = withFigures(fixture(), workload, 'tcp', after);
  return changesOf(fixture(), results, leastChange).find(
    (change) => change.workload === workload && change.contestant === 'tcp',
  );
}

t.test('a change is one only if it is more than the rounds differ by', (t) => {
  // The rounds of before are 90 to 110: 20 % of the median.
  t.match(changeOf(HELLO, [200, 199, 201]), { verdict: 'faster', factor: { median: 2 } });
  t.match(changeOf(HELLO, [50, 51, 49]), { verdict: 'slower', factor: { median: 0.5 } });
  t.equal(changeOf(HELLO, [120, 121, 119])?.verdict, 'same');
  t.equal(changeOf(HELLO, [200, 100, 300])?.verdict, 'same', 'these rounds differ by more');
  t.equal(changeOf('64 B round trip', [200, 199, 201])?.verdict, 'slower', 'less is better');
  t.equal(changeOf(HELLO, [200, 199, 201], 1.5)?.verdict, 'same', 'less than is asked for');
  const factor = changeOf(HELLO, [200, 180, 220])?.factor;
  t.match(factor, { median: 2, least: 180 / 110, most: 220 / 90 });
  t.end();
});

t.test('rounds that happen to be alike are thought to differ as those of others do', (t) => {
  const before = withFigures(fixture(), HELLO, 'tcp', [100, 100, 100]);
  const after = withFigures(fixture(), HELLO, 'tcp', [106, 106, 106]);
  const change = changesOf(before, after, 0.05).find(
    ({ workload, contestant }) => workload === HELLO && contestant === 'tcp',
  );
  t.equal(change?.verdict, 'same');
  t.ok((change?.noise ?? 0) > 0.1, 'the usual width of both');
  t.end();
});

t.test('what two files were measured with is compared, too', (t) => {
  t.same(differencesOf(fixture(), fixture()), []);
  const other = { ...fixture(), rounds: 5, machine: { ...machine, kernel: '6.2.0' } };
  t.same(differencesOf(fixture(), other), ['kernel: 6.1.0, then 6.2.0', 'rounds: 3, then 5']);
  t.end();
});

t.test('compare exits with 0, 1 if something is slower, and 2 if it cannot tell', (t) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'rdma-net-compare-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const write = (name: string, results: Results): string => {
    const file = path.join(folder, name);
    writeFileSync(file, showResults(results));
    return file;
  };
  const before = write('before.json', fixture());
  const slower = write('slower.json', withFigures(fixture(), HELLO, 'tcp', [10, 11, 12]));
  const bench = path.join(root, 'dist', 'benchmarks', 'bench.js');
  const compare = (...args: string[]) =>
    spawnSync(process.execPath, [bench, 'compare', ...args], { encoding: 'utf8' });
  t.match(compare(before, slower), { status: 1, stdout: /1 slower, 0 faster/ });
  t.match(compare(slower, before), { status: 0, stdout: /0 slower, 1 faster/ });
  t.match(compare(before, path.join(folder, 'none.json')), { status: 2, stderr: /none\.json/ });
  t.match(compare(before), { status: 2 });
  t.match(compare('--least'), {
    status: 2,
    stderr: "Unknown option '--least'; there are --least-change, --all\n",
  });
  const page = path.join(folder, 'page.html');
  execFileSync(process.execPath, [bench, 'report', before, '--out', page]);
  t.equal(readFileSync(page, 'utf8'), reportPage([fixture()]));
  t.end();
});

t.test('each benchmark tells its options, and those of the pages are among them', (t) => {
  const bench = path.join(root, 'dist', 'benchmarks', 'bench.js');
  const helpOf = (...args: string[]): string =>
    execFileSync(process.execPath, [bench, ...args, '--help'], { encoding: 'utf8' });
  const overview = helpOf();
  const named = [...overview.matchAll(/^ {2}(\w+) +\S/gm)].map(([, name = '']) => name);
  const pages = ['CONTRIBUTING.md', 'docs/benchmarks.md'].map((page) =>
    readFileSync(path.join(root, page), 'utf8'),
  );
  const lines = pages.flatMap((page) => [...page.matchAll(/^npm run bench -- ([^#\n]*)/gm)]);
  t.ok(lines.length > 15);
  const helps = new Map(named.map((name) => [name, helpOf(name)]));
  for (const [, line = ''] of lines) {
    const [first = ''] = line.split(' ');
    const help = first.startsWith('-') ? overview : helps.get(first);
    for (const [, option = ''] of line.matchAll(/ (--(?!help)[a-z-]+)/g)) {
      t.match(help, new RegExp(`^  ${option}\\b`, 'm'), line);
    }
    t.ok(help, line);
  }
  t.end();
});

t.test('everything that was measured is plotted, with its median and its spread', (t) => {
  const sections = sectionsOf(fixture());
  t.same(
    sections.map(({ title }) => title),
    ['net', 'http', 'https', 'http2'],
  );
  const plots = sections.flatMap((section) => section.plots);
  const http = plots.find(({ title }) => title === 'http, hello world: requests');
  t.match(http, { valueTitle: 'requests/s', categoryTitle: 'connections' });
  t.same(http?.categories, ['1', '100']);
  t.same(http?.series[1], {
    ...{ contestant: 'local', title: 'shared memory' },
    values: Array(2).fill({ median: 300, least: 290, most: 310 }),
  });
  t.same(http?.table[1]?.slice(0, 3), ['1', '100 [90.0, 110]', '300 [290, 310]']);
  const average = plots.find(({ title }) => title === 'Round trips, on average');
  t.equal(average?.series[1]?.values[0]?.median, 300);
  const roundTrip = plots.find(({ title }) => title === 'Round trip of 64 B');
  t.same(roundTrip?.categories, ['median', '90 %', '99 %', '99.9 %']);
  t.equal(roundTrip?.series[0]?.values[3]?.median, 100_000);
  t.end();
});

t.test('there is no plot of what nobody has measured, and no bar of who took no part', (t) => {
  const results = fixture();
  const without = (unwanted: (name: string, contestant: string) => boolean): Results => ({
    ...results,
    measurements: results.measurements.filter(
      ({ workload, contestant }) => !unwanted(workload, contestant),
    ),
  });
  const noHttps = sectionsOf(without((name) => name.startsWith('https ')));
  t.same(
    noHttps.map(({ title }) => title),
    ['net', 'http', 'http2'],
  );
  const noLocal = sectionsOf(without((_name, contestant) => contestant === 'local'));
  const contestants = noLocal.flatMap(({ plots }) => plots.flatMap(({ series }) => series));
  t.same([...new Set(contestants.map(({ contestant }) => contestant))], ['tcp']);
  t.end();
});

t.test('the report is one file that loads nothing, and no text of it is taken for HTML', (t) => {
  const results = fixture();
  results.machine.processor = '</script><b>"&';
  results.notes = ['</script><b>noted'];
  const page = reportPage([results]);
  t.match(page, '&lt;/script&gt;&lt;b&gt;&quot;&amp;');
  t.match(page, '&lt;/script&gt;&lt;b&gt;noted');
  t.notMatch(page, /<\/script><b>/);
  t.notMatch(page, /<(script|img|link|iframe)[^>]*(src|href)=/);
  t.notMatch(page, 'sourceMappingURL');
  t.match(page, "default-src 'none'");
  t.end();
});
