/** What `npm run bench -- hosts` computes, and that a plain program runs with SMC's preload. */
import { execFile } from 'node:child_process';
import os from 'node:os';
import { promisify } from 'node:util';
import t from 'tap';
import type { Absent, HostsRow } from '../../benchmarks/hosts/compare';
import { hostsResults, smcEvidence } from '../../benchmarks/hosts/results';
import { figureOfTransfer, hostsWorkloads } from '../../benchmarks/hosts/workloads';
import {
  buildSmc,
  smcPreload,
  whyNoSmcOn,
  whyNotSmc,
  type SmcStatistics,
} from '../../benchmarks/hosts/smc';
import { sectionsOf } from '../../benchmarks/report/plots';
import { changesOf } from '../../benchmarks/report/result-compare';
import { checkResults, showResults } from '../../benchmarks/report/result-file';
import { machine } from '../report/results';

const run = promisify(execFile);

const nothing: SmcStatistics = {
  connections: { client: 0, server: 0 },
  bytesSent: 0,
  bytesReceived: 0,
  fallbacks: [],
  links: [],
};

function fellBack(count: number, reason = '0x03010000'): SmcStatistics['fallbacks'] {
  return [{ side: 'client', reason, count }];
}

t.test('what went over SMC-R is told from what fell back to TCP, in part or before', (t) => {
  const used = { ...nothing, connections: { client: 1, server: 0 }, bytesSent: 1000 };
  t.equal(whyNotSmc(nothing, used, 1000), undefined);
  t.match(whyNotSmc(nothing, used, 1001), /only 1000 of 1001 bytes/);
  t.match(whyNotSmc(nothing, { ...used, fallbacks: fellBack(1) }, 1000), /peer has no SMC/);
  t.match(whyNotSmc(nothing, { ...used, fallbacks: fellBack(1, '0x99') }, 1000), /0x99/);
  const before = { ...nothing, fallbacks: fellBack(1) };
  t.equal(whyNotSmc(before, { ...used, fallbacks: fellBack(1) }, 1000), undefined);
  t.match(whyNotSmc(before, { ...used, fallbacks: fellBack(2) }, 1000), /fell back/);
  t.match(whyNotSmc(used, { ...used, bytesSent: 2000 }, 1000), /no connection/);
  t.end();
});

t.test('SMC-R is not tried with the software RDMA of kernels on which it hangs', (t) => {
  t.match(whyNoSmcOn('6.1.0-56-amd64'), /6\.1\.0-56-amd64/);
  t.match(whyNoSmcOn('5.19.1'), /5\.19\.1/);
  t.equal(whyNoSmcOn('6.12.117+deb12-amd64'), undefined);
  t.equal(whyNoSmcOn('7.0.0'), undefined);
  t.end();
});

t.test('a rate counts both directions, and a round trip is of one turn', (t) => {
  const transfers = hostsWorkloads.filter((workload) => workload.kind === 'transfer');
  for (const workload of transfers) {
    const transfer = workload.transfer(2);
    const bytes = transfer.bytes * transfer.count * transfer.turns * 2;
    const expected = workload.figure === 'rate' ? bytes / 2 ** 20 / 2 : 2e6 / transfer.turns;
    t.equal(figureOfTransfer(workload, transfer, 2), expected, workload.name);
  }
  t.end();
});

const roundTrip = '64 B round trip';
const http = { workload: 'http hello world, 8 connections', contestant: 'tcp' } as const;
const rounds = [0, 1];
const rows: HostsRow[] = [
  ...rounds.map((round) => {
    return { workload: roundTrip, contestant: 'rdma' as const, round, figure: 50 + round };
  }),
  { workload: roundTrip, contestant: 'rstream', round: 0, figure: 9 },
  ...rounds.map((round) => ({ ...http, round, figure: 80, latencyP50Ms: 2, latencyP99Ms: 5 })),
];
const absent: Absent[] = [{ contestant: 'rstream', workload: roundTrip, reason: 'it hung' }];

t.test('results have a number for each round, and nothing of who left before', (t) => {
  const results = hostsResults({ machine, absent, rows }, 2, 1);
  t.match(results, { rounds: 2, machine, hosts: 2 });
  t.same(results.measurements, [
    { workload: roundTrip, contestant: 'rdma', figures: [50, 51] },
    { ...http, figures: [80, 80], latency: { p50: [2000, 2000], p99: [5000, 5000] } },
  ]);
  t.match(results.notes, [/-T b/, 'rstream did not take part (64 B round trip): it hung']);
  t.end();
});

t.test('results of two hosts are read, plotted and compared as those of one', (t) => {
  const results = checkResults(
    JSON.parse(showResults(hostsResults({ machine, absent, rows }, 2, 1))),
  );
  const titles = sectionsOf(results).flatMap(({ plots }) => plots.map(({ title }) => title));
  t.same(titles, [
    'Round trips, on average',
    'http, hello world: requests',
    'http, hello world: 99 % are answered within',
  ]);
  const slower = rows.map((row) => ({ ...row, figure: row.figure * 3 }));
  const changes = changesOf(results, hostsResults({ machine, absent, rows: slower }, 2, 1), 0.05);
  t.same(
    changes.map(({ workload, verdict }) => [workload, verdict]),
    [
      [roundTrip, 'slower'],
      [http.workload, 'faster'],
    ],
  );
  t.end();
});

t.test('it is said how it is known that SMC-R was used', (t) => {
  const links = [{ device: 'rxe0', address: 'a', peerAddress: 'b', connections: 1 }];
  const smc = { ...nothing, connections: { client: 3, server: 0 }, bytesSent: 7, links };
  t.match(smcEvidence({ smc }), /3 connections, 7 bytes sent.* 0 back to TCP.*rxe0, a to b/);
  t.equal(smcEvidence({}), undefined);
  t.end();
});

t.test('a plain program talks to itself under the preload of SMC, as without', async (t) => {
  await buildSmc();
  const program = `
    const net = require('node:net');
    const server = net.createServer((socket) => socket.pipe(socket)).listen(0, HOST, () => {
      const socket = net.connect(server.address().port, HOST, () => socket.end('echo'));
      socket.on('data', (data) => console.log(String(data)));
      socket.on('close', () => server.close());
    });`;
  const addresses = Object.values(os.networkInterfaces()).flat();
  const ownsHost = (host: string): boolean => addresses.some((each) => each?.address === host);
  for (const host of ['127.0.0.1', '::1'].filter(ownsHost)) {
    const text = program.replaceAll('HOST', JSON.stringify(host));
    const { stdout, stderr } = await run(process.execPath, ['-e', text], {
      env: { ...process.env, LD_PRELOAD: smcPreload },
    });
    t.equal(stderr, '', 'the loader would tell of a library that it cannot load');
    t.equal(stdout, 'echo\n', host);
  }
});
