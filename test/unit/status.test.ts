import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { once } from 'node:events';
import t from 'tap';
import { AnswerReader } from '../../lib/commands/status/reading';
import { whyMissing } from '../../lib/commands/status/missing';
import { Rates, sortRows, type ConnectionRow } from '../../lib/commands/status/rates';
import { showBytes, showSeconds, showShare } from '../../lib/commands/status/units';
import { configure } from '../../lib/install';
import { Files } from '../../lib/machine/files';
import { ownerOfPrivate, fileNameOf, parseFileName, placeFor } from '../../lib/monitor/folder';
import { report, type ConnectionReport, type ReportPart } from '../../lib/monitor/report';
import {
  connectedPair,
  fakeRdma,
  finish,
  libFolder,
  listen,
  listenTcp,
  runNode,
  until,
  type ChildResult,
} from './support';

const cli = path.join(libFolder, 'cli.js');
const preload = path.join(libFolder, 'preload.js');
const name = { pid: 12, pidNamespace: '4026531836', thread: 3 };

fakeRdma();

/** A folder whose path is short enough for the address of a socket. */
function shortFolder(): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'status-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return folder;
}

t.test('the name of an endpoint tells program, namespace and thread', (t) => {
  t.strictSame(parseFileName(fileNameOf(name)), name);
  for (const other of ['', '12-3.sock', 'a-4026531836-0.sock', '1-2-3.sock.old', '../1-2-3.sock']) {
    t.equal(parseFileName(other), undefined, other);
  }
  t.end();
});

t.test('an endpoint is only where nobody else can be', (t) => {
  const runtime = shortFolder();
  const folder = path.join(runtime, 'rdma-net');
  t.equal(placeFor(name, runtime), path.join(folder, fileNameOf(name)));
  t.equal(ownerOfPrivate(folder), process.geteuid?.());
  chmodSync(folder, 0o750);
  t.equal(ownerOfPrivate(folder), undefined, 'others of the group could look into it');
  t.notMatch(placeFor(name, runtime), runtime);
  rmSync(folder, { recursive: true });
  mkdirSync(path.join(runtime, 'elsewhere'), { mode: 0o700 });
  symlinkSync('elsewhere', folder);
  t.equal(ownerOfPrivate(folder), undefined, 'a link may lead anywhere');
  t.notMatch(placeFor(name, runtime), runtime);
  t.notMatch(placeFor(name, '/'.concat('long'.repeat(30))), 'long');
  t.notMatch(placeFor(name, 'relative'), 'relative');
  t.end();
});

/** All parts of a report as one. */
function collect(withSockets: boolean): { parts: ReportPart[]; connections: ConnectionReport[] } {
  const parts = [...report(withSockets)];
  return { parts, connections: parts.flatMap(({ connections = [] }) => connections) };
}

t.test('sockets on TCP are told of with their reasons, and not changed', async (t) => {
  const over = await connectedPair();
  configure({ rules: '* * tcp' });
  const server = net.createServer();
  const port = await listenTcp(server);
  const client = net.connect(port, '127.0.0.1');
  const connected = once(client, 'connect');
  const [accepted] = (await once(server, 'connection')) as [net.Socket];
  await connected;
  configure({ rules: [] });
  const keys = [client, accepted].map((socket) => Reflect.ownKeys(socket));
  const { connections, parts } = collect(true);
  const found = connections.filter(({ transport }) => transport === 'tcp');
  const ofClient = found.find(({ direction }) => direction === 'out');
  t.match(ofClient, { remote: { address: '127.0.0.1', port }, reason: { code: 'rule-tcp' } });
  t.equal(found.filter(({ direction }) => direction === 'in').length, 1);
  t.strictSame(
    [client, accepted].map((socket) => Reflect.ownKeys(socket)),
    keys,
  );
  t.equal(connections.filter(({ transport }) => transport === 'rdma').length, 2);
  const totals = { connections: { local: 0, rdma: 2, tcp: 2 }, servers: 2 };
  t.match(parts.at(-1), { end: true, totals });
  const servers = parts.flatMap(({ servers = [] }) => servers);
  t.match(servers.find((one) => one.port === port)?.reasons.rdma, { code: 'rule-tcp' });
  const short = collect(false);
  t.match(short.parts.at(-1), { end: true, totals });
  t.strictSame(short.connections, [], 'totals are to be had without the sockets');
  await finish(client, accepted, server, over.client, over.server, over.listener);
});

t.test('a part of the report is small, however many sockets there are', async (t) => {
  const server = net.createServer();
  const port = await listen(server);
  const sockets: net.Socket[] = [];
  server.on('connection', (socket) => sockets.push(socket));
  for (let count = 0; count < 100; count++) {
    const client = net.connect(port, '127.0.0.1');
    sockets.push(client);
    await once(client, 'connect');
  }
  await until(() => sockets.length === 200);
  const { parts, connections } = collect(true);
  t.equal(new Set(connections.map(({ id }) => id)).size, 200);
  for (const part of parts) t.ok(JSON.stringify(part).length < 32 * 1024);
  await finish(...sockets, server);
});

t.test('whatever an endpoint says, it becomes numbers, and text that is only shown', (t) => {
  const reader = new AnswerReader();
  const evil = 'a\u001b]0;title\u0007\r\n\u009b2J\u202e';
  t.equal(reader.read(JSON.stringify({ program: evil, pid: 'one', connections: {} })), false);
  const connection = { id: 7, transport: evil, bytesSent: -1, local: 3, reason: { code: evil } };
  t.equal(reader.read(JSON.stringify({ connections: [connection, null], end: true })), true);
  const { program, pid, connections, totals } = reader.answer;
  t.equal(program, 'a?]0;title????2J?');
  t.equal(pid, 0);
  t.equal(totals.connections.rdma, 0);
  t.match(connections[0], {
    id: '',
    transport: 'tcp',
    bytesSent: 0,
    local: { address: '', port: 0 },
  });
  t.equal(connections[0]?.reason?.code, program);
  t.equal(connections.length, 2);
  t.throws(() => reader.read('no JSON'), SyntaxError);
  t.end();
});

t.test('rates are of one connection and of the time between two looks', (t) => {
  const rates = new Rates();
  const at = (bytesReceived: number, nowMs: number): unknown =>
    rates.of('a', { bytesReceived, bytesSent: 0 }, nowMs);
  t.equal(at(100, 1000), undefined, 'nothing to compare with');
  rates.next();
  t.strictSame(at(1100, 3000), { received: 500, sent: 0 });
  rates.next();
  t.equal(at(5, 4000), undefined, 'another one with the same id');
  rates.next();
  rates.next();
  t.equal(at(10, 6000), undefined, 'it was not there at the last look');
  t.end();
});

t.test('connections are sorted by what is asked for', (t) => {
  const row = (address: string, port: number, bytesSent: number): ConnectionRow => ({
    thread: 0,
    rate: undefined,
    connection: { bytesReceived: 0, bytesSent, remote: { address, port } } as ConnectionReport,
  });
  const rows = [row('10.0.0.1', 80, 5), row('10.0.0.1', 9, 7), row('10.0.0.0', 443, 6)];
  const ports = (key: 'bytes' | 'peer'): unknown =>
    sortRows(rows, key).map(({ connection }) => connection.remote?.port);
  t.strictSame(ports('bytes'), [9, 443, 80]);
  t.strictSame(ports('peer'), [443, 9, 80]);
  t.end();
});

t.test('numbers are shown with units', (t) => {
  t.strictSame([0, 1023, 1024, 150 * 1024, 3 << 29].map(showBytes), [
    '0 B',
    '1023 B',
    '1.0 KiB',
    '150 KiB',
    '1.5 GiB',
  ]);
  t.strictSame([0.9, 61, 3660, 90_000].map(showSeconds), ['0s', '1m1s', '1h1m', '1d1h']);
  t.equal(showShare(1, 3), '33%');
  t.equal(showShare(0, 0), '-');
  t.end();
});

t.test('a program notices nothing of its endpoint, also while it is asked', async (t) => {
  const script = `
    const turns = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    const { FOLDER, RDMA_NET_STATUS } = process.env;
    process.on('beforeExit', () => console.log('beforeExit'));
    const server = require('node:net').createServer().listen(0, '127.0.0.1', async () => {
      await turns();
      if (RDMA_NET_STATUS === 'on') {
        const [file] = require('node:fs').readdirSync(FOLDER);
        const { Pipe, PipeConnectWrap } = process.binding('pipe_wrap');
        const asking = new Pipe(0);
        asking.unref();
        const request = new PipeConnectWrap();
        const connected = new Promise((resolve) => { request.oncomplete = resolve; });
        asking.connect(request, FOLDER + '/' + file);
        console.error('status', await connected);
        await turns();
      }
      console.log(process._getActiveHandles().length, process.getActiveResourcesInfo());
      server.close();
    });`;
  const runtime = shortFolder();
  const FOLDER = path.join(runtime, 'rdma-net');
  const runWith = (RDMA_NET_STATUS: string): Promise<ChildResult> => {
    const environment = { XDG_RUNTIME_DIR: runtime, FOLDER, RDMA_NET_STATUS };
    return runNode(['-r', preload, '-e', script], environment);
  };
  const without = await runWith('off');
  t.match(without, { code: 0, stdout: /beforeExit/, stderr: '' });
  t.strictSame(await runWith('on'), { ...without, stderr: 'status 0\n' });
  t.strictSame(readdirSync(FOLDER), []);
});

t.test('a program without sockets, or with RDMA_NET=off, has no endpoint', async (t) => {
  const listening = 'require("net").createServer().listen(0, function () { this.close(); })';
  for (const [script, mode] of [
    ['0', 'prefer'],
    [listening, 'off'],
  ] as const) {
    const runtime = shortFolder();
    const environment = { XDG_RUNTIME_DIR: runtime, RDMA_NET: mode };
    t.match(await runNode(['-r', preload, '-e', script], environment), { code: 0, stderr: '' });
    t.notOk(existsSync(path.join(runtime, 'rdma-net')));
  }
});

t.test('a program that can have no endpoint runs as it would', async (t) => {
  const script = `
    require('node:fs').chmodSync(process.env.XDG_RUNTIME_DIR, 0o700);
    require('node:net').createServer().listen(0, function () {
      setImmediate(() => setImmediate(() => this.close()));
    });`;
  const runtime = shortFolder();
  // Others could look into it: neither this one nor the one for temporary files can be used.
  mkdirSync(path.join(runtime, 'rdma-net'), { mode: 0o755 });
  const environment = { XDG_RUNTIME_DIR: runtime };
  const result = await runNode(['-r', preload, '-e', script], environment);
  t.match(result, { code: 0, stderr: '' });
  t.strictSame(readdirSync(path.join(runtime, 'rdma-net')), []);
});

t.test('status tells wrong arguments, and a program that is not there', async (t) => {
  for (const [args, message] of [
    [['x'], 'PID is "x"; expected a whole number from 1 on'],
    [['1', '2'], 'found "2" after the PID'],
    [['--sort', 'colour'], '--sort is "colour"; expected one of bytes, rate, stalls, age, peer'],
    [['--watch', '0'], '--watch is "0"; expected a number from 0.1 to 3600'],
    [['--watch', '1234'], '--watch 1234 would be seconds; write 1234 --watch for a process'],
    [['--count', '2'], '--count is for --watch'],
    [['--tpo', '2'], "Unknown option '--tpo'"],
  ] as const) {
    const result = await runNode([cli, 'status', ...args]);
    t.equal(result.code, 2);
    t.match(result.stderr, `rdma-net: ${message}`);
  }
  const missing = await runNode([cli, 'status', '99999999']);
  t.equal(missing.code, 1);
  t.equal(
    missing.stderr,
    'rdma-net: process 99999999 cannot be asked. There is no such process.\n',
  );
  const empty = await runNode([cli, 'status', '--json']);
  t.equal(empty.code, 0);
  t.match(JSON.parse(empty.stdout), { command: 'status', totals: { connections: {} } });
});

t.test('why a process cannot be asked is told as far as it can be seen', (t) => {
  const link = (program: string): object => t.fixture('symlink', `/usr/bin/${program}`);
  const variables = (...pairs: string[]): string => pairs.map((pair) => `${pair}\0`).join('');
  const tree = {
    proc: {
      2: { exe: link('sleep') },
      3: { exe: link('node'), environ: variables('A=1', 'RDMA_NET=off') },
      4: { exe: link('nodejs'), environ: variables('RDMA_NET_STATUS=off') },
      5: { exe: link('node'), environ: variables('XDG_RUNTIME_DIR=/run/user/elsewhere') },
      6: { exe: link('node') },
    },
  };
  const files = new Files(t.testdir(tree as object as Parameters<typeof t.testdir>[0]));
  const own = process.geteuid?.() ?? -1;
  for (const [pid, why] of [
    [1, /^There is no such process\.$/],
    [2, /^It is sleep, and not Node\.$/],
    [3, /^It was started with RDMA_NET=off\.$/],
    [4, /^It was started with RDMA_NET_STATUS=off\.$/],
    [5, /^It runs without rdma-net, .* yet\. .* XDG_RUNTIME_DIR=\/run\/user\/elsewhere, /],
    [6, /^It runs without rdma-net, or has had no connection and no server yet\.$/],
  ] as const) {
    t.match(whyMissing(pid, own, files), why);
  }
  t.equal(
    whyMissing(6, own + 1, files),
    `It belongs to user ${own}; only that user and root may ask it.`,
  );
  t.end();
});
