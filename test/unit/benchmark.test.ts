/** What `npm run bench` computes from its measurements. */
import t from 'tap';
import { rateOfIbWriteBw, secondsOfRstream } from '../../benchmarks/transfer/c-programs';
import { hottest } from '../../benchmarks/support/cpu-profile';
import { LOCAL, TCP } from '../../benchmarks/local/contestants';
import * as localReport from '../../benchmarks/local/report';
import { localWorkloads } from '../../benchmarks/local/workloads';
import type { PairRow } from '../../benchmarks/pair/compare';
import { pairwise, percentilesOf, rotated, showSpread, spreadOf } from '../../lib/statistics';
import type { TransferRow } from '../../benchmarks/transfer/compare';
import { goalsOf, linesOf, showGoal } from '../../benchmarks/transfer/report';
import { figureOf, workloads } from '../../benchmarks/transfer/workloads';

t.test('a spread is the median with the least and the most, in whatever order', (t) => {
  t.same(spreadOf([3, 1, 20]), { median: 3, least: 1, most: 20 });
  t.same(spreadOf([4, 1, 20, 2]), { median: 3, least: 1, most: 20 });
  t.equal(showSpread([3, 1, 20], 1), '3.0 [1.0, 20.0]');
  t.equal(showSpread([], 1), '-');
  t.end();
});

t.test('a percentile is the least that so many do not exceed, in whatever order', (t) => {
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
  t.same(percentilesOf(hundred), { p50: 50, p90: 90, p99: 99, p999: 100 });
  t.same(percentilesOf([7]), { p50: 7, p90: 7, p99: 7, p999: 7 });
  t.same(percentilesOf([]), { p50: NaN, p90: NaN, p99: NaN, p999: NaN });
  t.end();
});

t.test('measurements are joined with those of the same round', (t) => {
  const minus = (left: number, right: number): number => left - right;
  t.same(pairwise([10, 20], [1, 2], minus), [9, 18]);
  t.throws(() => pairwise([1], [1, 2], minus), { name: 'RangeError' });
  t.end();
});

t.test('everyone is first once in as many rounds as there are contestants', (t) => {
  const rounds = [0, 1, 2, 3].map((round) => rotated(['a', 'b', 'c'], round).join(''));
  t.same(rounds, ['abc', 'bca', 'cab', 'abc']);
  t.same(rotated([], 1), []);
  t.end();
});

t.test('the results of rstream and ib_write_bw are read, or the lack of one is said', (t) => {
  const header = 'name      bytes   xfers   iters   total       time     Gb/sec    usec/xfer\n';
  const line = 'custom    64k     200     1       25m         1.22s      0.17    3059.10\n';
  t.equal(secondsOfRstream(header + line, 400).toFixed(5), '1.22364');
  t.throws(() => secondsOfRstream(header, 400), /no result/);
  const table =
    ' #bytes     #iterations    BW peak[MB/sec]    BW average[MB/sec]   MsgRate[Mpps]\n';
  const row = ' 65536      300              25.53              24.00  \t\t   0.000384\n';
  t.equal(rateOfIbWriteBw(table + row, 65_536), 24 * 2 ** 20);
  t.throws(() => rateOfIbWriteBw(table, 65_536), /no result/);
  t.end();
});

t.test('a rate counts the bytes of both directions, and a round trip is of one turn', (t) => {
  const find = (name: string) => workloads.find((each) => each.name === name) ?? t.fail(name);
  const bytes = 2 ** 20;
  const bulk = find('1 MiB one way') as (typeof workloads)[number];
  t.equal(figureOf(bulk, { bytes, count: 10, turns: 1, echo: false }, 2), 5);
  t.equal(figureOf(bulk, { bytes, count: 10, turns: 1, echo: true }, 2), 10);
  const roundTrip = find('64 B round trip') as (typeof workloads)[number];
  t.equal(figureOf(roundTrip, { bytes: 64, count: 1, turns: 1000, echo: true }, 2), 2000);
  t.end();
});

/** Rows in which everyone takes a second in each of two rounds, but for those named. */
function rowsWith(seconds: Record<string, [number, number]>): TransferRow[] {
  return [0, 1].flatMap((round) =>
    workloads.flatMap((workload) =>
      workload.contestants.map((contestant) => ({
        workload: workload.name,
        contestant,
        round,
        transfer: workload.transfer(1),
        seconds: seconds[`${workload.name}, ${contestant}`]?.[round] ?? 1,
        busyProcessors: 1,
        kernelShare: 0.5,
      })),
    ),
  );
}

t.test('the goals are judged by the median of what each round says', (t) => {
  t.same(
    goalsOf({ rows: rowsWith({}) }).map(({ met }) => met),
    [true, true, true],
    'as fast as the others',
  );
  const slow = rowsWith({
    '1 MiB there and back, rdma-net': [1.02, 1.02],
    '1 MiB one way, rdma-net': [1.02, 1.02],
    '64 B round trip, rdma-net': [1.3, 1.3],
    '64 B round trip, Node TCP': [1.2, 1.2],
  });
  const goals = goalsOf({ rows: slow });
  t.same(
    goals.map(({ met }) => met),
    [false, true, false],
  );
  t.match(showGoal(goals[0] as (typeof goals)[number]), /^missed .*: 0\.98 \[0\.98, 0\.98\]$/);
  const faster = rowsWith({
    '64 B round trip, rdma-net': [1.3, 1.3],
    '64 B round trip, Node TCP': [1.4, 1.4],
  });
  t.equal(goalsOf({ rows: faster })[2]?.met, true, 'adds less than on TCP');
  t.end();
});

t.test('a counter that a version does not have is a dash, and one that it has is told', (t) => {
  const rows = rowsWith({});
  const side = { transport: 'rdma', bytes: 1, userSeconds: 0, systemSeconds: 0 };
  const own = rows.filter((row) => row.contestant === 'rdma-net');
  for (const row of own) {
    const counters = { bytesSent: 200, bytesSentCopied: 50, wakeUps: 2, completions: 5 };
    row.spent = { client: { ...side, counters }, server: { ...side, counters } };
  }
  const [header = [], ...lines] = linesOf({ rows });
  const cell = (line: string[] | undefined, column: string) => line?.[header.indexOf(column)];
  const [ofNet, ofRstream] = lines;
  t.equal(cell(ofNet, '% copied: sent'), '25.0');
  t.equal(cell(ofNet, 'completions / wake-up'), '2.5');
  t.equal(cell(ofNet, 'received'), '-');
  t.equal(cell(ofNet, 'requests'), '-');
  t.equal(cell(ofRstream, 'completions / wake-up'), '-');
  t.end();
});

t.test('a profile gives the functions that take most of the time, the hottest first', (t) => {
  const frame = (functionName: string, url = '') => ({ functionName, url, lineNumber: 9 });
  const profile = {
    nodes: [
      { id: 1, callFrame: frame('(idle)') },
      { id: 2, callFrame: frame('write', 'file:///anywhere/dist/lib/handle.js') },
      { id: 3, callFrame: frame('write', 'file:///anywhere/dist/lib/handle.js') },
    ],
    samples: [1, 2, 3, 1],
    timeDeltas: [10, 30, 40, 20],
  };
  t.same(hottest(profile, 5), [
    { where: 'write dist/lib/handle.js:10', share: 0.7 },
    { where: '(idle)', share: 0.3 },
  ]);
  t.equal(hottest(profile, 1).length, 1);
  const started = hottest(profile, 1, 'write');
  t.match(started, [{ where: 'write dist/lib/handle.js:10' }]);
  t.equal(started[0]?.share.toFixed(3), '0.778', 'what was before does not count');
  t.end();
});

t.test('what is hoped for on one machine is reached, reached at least, or missed', (t) => {
  const verdict = (name: string, ratios: number[]): unknown => {
    const workloads = localWorkloads.filter((workload) => workload.name === name);
    const row = (contestant: string, round: number, figure: number): PairRow => {
      return { workload: name, contestant, round, figure, cpuSeconds: 1 };
    };
    const rows = ratios.flatMap((ratio, round) => [
      row(TCP, round, 50 * (round + 1)),
      row(LOCAL, round, ratio * 50 * (round + 1)),
    ]);
    t.equal(localReport.linesOf(rows, workloads).length, 3, 'a header, and a line for each');
    const goals = localReport.goalsOf(rows, workloads);
    t.equal(goals.length, 1);
    return goals[0]?.verdict;
  };
  t.equal(verdict('64 KiB writes', [1, 3, 4]), 'reached');
  t.equal(verdict('64 KiB writes', [1, 2, 4]), 'least');
  t.equal(verdict('64 KiB writes', [1, 1.9, 4]), 'missed');
  t.equal(verdict('64 B round trip', [0.4, 0.5, 1]), 'reached', 'less is better');
  t.equal(verdict('64 B round trip', [0.4, 0.8, 1]), 'least');
  t.equal(verdict('64 B round trip', [0.4, 0.9, 1]), 'missed');
  t.equal(verdict('https hello world, 32 connections', [0.99]), 'missed');
  t.end();
});
