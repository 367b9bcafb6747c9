/** Every reason of the closed list is given to some program, and `info()` tells it. */

import { subscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import t from 'tap';
import { peers, slowServers } from '../../lib/connect';
import { info } from '../../lib/info';
import { configure } from '../../lib/install';
import { tcpClass } from '../../lib/internals';
import type { FabricTransportName } from '../../lib/mode';
import { Status } from '../../lib/native-status';
import { reasons, type ReasonCode } from '../../lib/reasons';
import { localTransport, rdmaTransport } from '../../lib/transport';
import type { Answer, FakeTransport } from './fake-transport';
import {
  clientTls,
  close,
  fakeTransports,
  finish,
  libFolder,
  listenTcp,
  runNode,
  testFolder,
  turn,
} from './support';

type Connect = (port: number) => net.Socket;

const binding = fakeTransports();
const fake = path.join(testFolder, 'fake-preload.js');
/** Going to TCP is no failure. */
const failures: unknown[] = [];
subscribe('rdma-net:failure', (message) => failures.push(message));
/** The codes that have been told. */
const told = new Set<string>();

function fakeOf(name: FabricTransportName): FakeTransport | undefined {
  return binding[name === 'rdma' ? 'verbs' : 'local'].transport;
}

/** Forgets what was learned of peers and transports. */
function forget(): void {
  for (const one of [rdmaTransport, localTransport]) one.reset();
  peers.clear();
  slowServers.clear();
}

function tell(...codes: (string | undefined)[]): void {
  for (const code of codes) if (code !== undefined) told.add(code);
}

/** What a client is told whose server is there over TCP, and answers otherwise as it is set up to. */
async function clientReason(
  transport: FabricTransportName,
  answer: Answer,
  connect: Connect = (port) => net.connect(port, '127.0.0.1'),
): Promise<string | undefined> {
  configure({ transports: [transport] });
  const server = net.createServer();
  const port = await listenTcp(server);
  fakeOf(transport)?.answers.set(`127.0.0.1#${port}`, answer);
  const accepted = once(server, 'connection') as Promise<[net.Socket]>;
  const client = connect(port);
  await once(client, 'connect');
  const { transport: used, reason } = info(client);
  tell(reason?.code);
  await finish(client, (await accepted)[0], server);
  forget();
  return used === 'tcp' ? reason?.code : used;
}

/** What a server is told that listens as it is asked to. */
async function serverReasons(
  transport: FabricTransportName,
  listenable: object,
  server = net.createServer(),
): Promise<Partial<Record<FabricTransportName, string | undefined>>> {
  configure({ transports: [transport] });
  server.listen(listenable);
  await once(server, 'listening');
  // Whether the other listeners are open shows in the next turn.
  await turn();
  await turn();
  const { reason, reasons } = info(server);
  tell(reason?.code, reasons.local?.code, reasons.rdma?.code);
  await close(server);
  forget();
  return { local: reasons.local?.code, rdma: reasons.rdma?.code };
}

const here = { port: 0, host: '127.0.0.1' };

t.test('shared memory that cannot be had, and transports that are not wanted', async (t) => {
  binding.local.status = Status.DeviceResources;
  t.equal(await clientReason('local', 'normal'), 'local-unavailable');
  binding.local.status = Status.Ok;
  t.match(await serverReasons('local', here), { rdma: 'rdma-off' });
  t.match(await serverReasons('rdma', here), { local: 'local-off' });
  t.strictSame(failures, [], 'looking whether Node is the known one is no failure');
});

t.test('whatever a request ends with is a reason', async (t) => {
  const statuses = Object.values(Status).filter((status) => status !== Status.Ok);
  for (const transport of ['local', 'rdma'] as const) {
    for (const status of statuses) {
      const code = (await clientReason(transport, status)) ?? '';
      t.ok(Object.hasOwn(reasons, code), `${transport} ${status}: ${code}`);
    }
  }
});

t.test('answers that are too late', async (t) => {
  configure({ headStartMs: 0 });
  t.equal(await clientReason('rdma', 'silent'), 'peer-silent');
  t.equal(await clientReason('local', 'silent'), 'local-slow');
  const rdma = fakeOf('rdma');
  if (rdma === undefined) throw new Error('the transport is not there');
  rdma.opened = false;
  t.equal(await clientReason('rdma', 'silent'), 'still-opening');
  rdma.opened = true;
  const answerLate: Connect = (port) => {
    const client = net.connect(port, '127.0.0.1');
    // TCP starts in the tick of 'connectionAttempt', and its end comes later from the event loop.
    client.once('connectionAttempt', () => {
      process.nextTick(() => {
        rdma.release(rdma.heldIds[0] ?? -1);
        rdma.deliverNow();
      });
    });
    return client;
  };
  t.equal(await clientReason('rdma', 'hold', answerLate), 'tcp-first');
  configure({ headStartMs: 50 });
});

t.test('sockets and servers that cannot have anything else', async (t) => {
  const bound: Connect = (port) => {
    const handle = new (tcpClass())(0) as object as { bind(address: string, port: number): number };
    handle.bind('127.0.0.1', 0);
    const options = { handle, manualStart: true };
    return new net.Socket(options as net.SocketConstructorOpts).connect(port, '127.0.0.1');
  };
  t.equal(await clientReason('rdma', 'normal', bound), 'bound-socket');
  const underTls: Connect = (port) => {
    const socket = net.connect(port, '127.0.0.1');
    tls.connect({ socket, ...clientTls }).on('error', () => undefined);
    return socket;
  };
  t.equal(await clientReason('rdma', 'normal', underTls), 'tls-while-connecting');
  const given = net.createServer();
  await listenTcp(given);
  t.match(await serverReasons('rdma', given), { rdma: 'listen-handle' });
  await close(given);
  const paused = net.createServer({ pauseOnConnect: true });
  t.match(await serverReasons('rdma', here, paused), { rdma: 'handle-passing' });
  const ipv6 = { port: 0, host: '::', ipv6Only: true };
  t.match(await serverReasons('rdma', ipv6), { rdma: 'ipv6-only' });
});

t.test('rules and the mode', async (t) => {
  configure({ rules: '* * tcp' });
  t.equal(await clientReason('rdma', 'normal'), 'rule-tcp');
  configure({ rules: '* * tls rdma' });
  t.equal(await clientReason('rdma', 'normal'), 'rule-tls');
  configure({ rules: [], mode: 'off' });
  t.equal(await clientReason('rdma', 'normal'), 'mode-off');
  configure({ mode: 'prefer' });
});

t.test('pipes', async (t) => {
  const server = net.createServer((socket) => socket.end());
  server.listen(path.join(os.tmpdir(), `reasons-${process.pid}.sock`));
  await once(server, 'listening');
  t.match(info(server), { transport: undefined, transports: [], reason: { code: 'not-tcp' } });
  const client = net.connect(server.address() as string);
  await once(client, 'connect');
  const { transport, reason } = info(client);
  t.match({ transport, code: reason?.code }, { transport: undefined, code: 'not-tcp' });
  tell(reason?.code);
  await finish(client, server);
});

/** Programs in which nothing, or not everything, can be caught; by what their server is told. */
const programs: Partial<Record<ReasonCode, { before?: string; args?: string[] }>> = {
  platform: { before: "Object.defineProperty(process, 'platform', { value: 'darwin' });" },
  'node-internals': {
    args: ['-r', fake],
    before: "Object.defineProperty(process, '_tickCallback', { value: undefined });",
  },
  'addon-missing': {
    before: `
      const Module = require('node:module');
      const load = Module._load;
      Module._load = function (request, ...rest) {
        if (request === 'node-gyp-build') return () => { throw new Error('none'); };
        return load.call(this, request, ...rest);
      };`,
  },
  'permission-model': {
    args: [
      process.allowedNodeEnvironmentFlags.has('--permission')
        ? '--permission'
        : '--experimental-permission',
      '--allow-fs-read=*',
      ...(process.allowedNodeEnvironmentFlags.has('--allow-net') ? ['--allow-net'] : []),
    ],
  },
  loopback: { args: ['-r', fake] },
  'cluster-worker': {
    before: `
      const cluster = require('node:cluster');
      if (cluster.isPrimary) { cluster.fork().on('exit', () => process.exit()); return; }`,
    args: ['-r', fake],
  },
};

for (const [code, { before = '', args = [] }] of Object.entries(programs)) {
  t.test(`a program that is told ${code}`, async (t) => {
    const preload = path.join(libFolder, 'preload.js');
    const address = code === 'loopback' ? '127.0.0.1' : '0.0.0.0';
    const main = `${before}
      require(${JSON.stringify(preload)});
      const { info } = require(${JSON.stringify(path.join(libFolder, 'index.js'))});
      const server = require('node:net').createServer().listen(0, '${address}', () => {
        const { reason, reasons } = info(server);
        console.log((reasons.rdma ?? reason).code);
        process.exit();
      });`;
    const folder = t.testdir({ 'main.js': main });
    const environment = { FAKE_LOOPBACK: 'no', RDMA_NET_TRANSPORTS: 'rdma' };
    const result = await runNode([...args, path.join(folder, 'main.js')], environment);
    t.equal(result.stdout.trim(), code, result.stderr);
    tell(result.stdout.trim());
  });
}

t.test('no reason of the list has been left out, and none was told that is not in it', (t) => {
  t.strictSame([...told].sort(), Object.keys(reasons).sort());
  t.strictSame(failures, []);
  t.end();
});
