/** What `npm run bench -- hosts` computes, and that a plain program runs with SMC's preload. */
import { execFile } from 'node:child_process';
import os from 'node:os';
import { promisify } from 'node:util';
import t from 'tap';
import type { HostsMachine, HostsRow } from '../../benchmarks/hosts/compare';
import { linesOf, smcEvidence } from '../../benchmarks/hosts/report';
import { hostsResults } from '../../benchmarks/hosts/results';
import { figureOfTransfer, hostsWorkloads } from '../../benchmarks/hosts/workloads';
import {
  buildSmc,
  smcPreload,
  whyNoSmcOn,
  whyNotSmc,
  type SmcStatistics,
} from '../../benchmarks/hosts/smc';

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

t.test('better is more of a rate and less of a round trip, in rounds that both have', (t) => {
  const row = (workload: string, contestant: string, round: number, figure: number): HostsRow => ({
    ...{ workload, contestant, round, figure },
  });
  const lines = linesOf([
    row('64 B round trip', 'rdma-net', 0, 50),
    row('64 B round trip', 'Node TCP', 0, 100),
    row('64 B round trip', 'rdma-net', 1, 50),
    row('1 MiB there and back', 'rdma-net', 0, 100),
    row('1 MiB there and back', 'Node TCP', 0, 50),
  ]);
  const find = (workload: string, contestant: string) =>
    lines.find(([name, by]) => name === workload && by === contestant);
  t.equal(find('64 B round trip', 'Node TCP')?.[4], '2.00 [2.00, 2.00]');
  t.equal(find('1 MiB there and back', 'Node TCP')?.[4], '2.00 [2.00, 2.00]');
  t.equal(find('64 B round trip', 'rstream')?.[2], '-', 'who did not take part');
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

t.test('results have a number for each round, and nothing of who left before', (t) => {
  const rows = [0, 1].flatMap((round) => [
    { workload: '64 B round trip', contestant: 'rdma-net', round, figure: 50 + round },
    ...(round === 0
      ? [{ workload: '64 B round trip', contestant: 'rstream', round, figure: 9 }]
      : []),
  ]);
  const http = { workload: 'http hello, 8 connections', contestant: 'Node TCP' };
  const requests = [0, 1].map((round) => {
    return { ...http, round, figure: 80, latencyP50Ms: 2, latencyP99Ms: 5 };
  });
  const absent = [{ contestant: 'rstream', workload: '64 B round trip', reason: 'it hung' }];
  const machine = { kernel: '6.12' } as HostsMachine;
  const results = hostsResults({ machine, absent, rows: [...rows, ...requests] }, 2, 1);
  t.match(results, { rounds: 2, machine: { kernel: '6.12' }, absent, hosts: 2 });
  t.same((results as { measurements: unknown }).measurements, [
    { workload: '64 B round trip', contestant: 'rdma-net', figures: [50, 51] },
    { ...http, figures: [80, 80], latency: { p50: [2000, 2000], p99: [5000, 5000] } },
  ]);
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
