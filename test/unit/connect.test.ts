import { subscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import tls from 'node:tls';
import t, { type Test } from 'tap';
import { peers } from '../../lib/connect';
import type { FallbackMessage } from '../../lib/diagnostics';
import { info } from '../../lib/info';
import { configure } from '../../lib/install';
import { Status } from '../../lib/native-status';
import { Echo, lookupOf, talk } from './echo';
import {
  clientTls,
  close,
  closedPort,
  fakeRdma,
  listen,
  listenTcp,
  readAll,
  serverTls,
  transportOf,
  turn,
  until,
  type ErrorWithCause,
} from './support';
import type { Answer, FakeTransport } from './fake-transport';

const binding = fakeRdma();
let rdma: FakeTransport;

function test(name: string, body: (t: Test) => Promise<void>): void {
  void t.test(name, async (t) => {
    configure({ mode: 'prefer', headStartMs: 50, peerMemoryMs: 60_000 });
    peers.clear();
    await body(t);
    configure({ mode: 'prefer' });
    rdma.answers.clear();
    rdma.establishStatus = Status.Ok;
    for (const id of rdma.connectionIds) t.fail(`connection ${id} is left`);
    await until(() => !rdma.referenced);
    t.equal(rdma.openListeners, 0, 'no listener is left');
  });
}

// TCP starts in the tick of 'connectionAttempt', and its end comes later from the event loop.
function answerWhileTcpConnects(client: net.Socket): void {
  client.once('connectionAttempt', () => {
    process.nextTick(() => {
      rdma.release(rdma.heldIds[0] ?? -1);
      rdma.deliverNow();
    });
  });
}

async function answering(answer: Answer, echo = new Echo()): Promise<[number, Echo]> {
  const port = await listen(echo.server);
  rdma.answers.set(`127.0.0.1#${port}`, answer);
  return [port, echo];
}

t.before(async () => {
  const server = net.createServer();
  await listen(server);
  await close(server);
  rdma = transportOf(binding);
});

test('a peer without RDMA costs one probe, and every connection works', async (t) => {
  const echo = new Echo();
  const port = await listen(echo.server);
  rdma.answers.set(`127.0.0.1#${port}`, Status.ConnectionRefused);
  const before = rdma.requests.length;
  for (let round = 0; round < 3; round++) {
    const client = net.connect(port, '127.0.0.1');
    await talk(client);
    t.equal(client.transport, 'tcp');
    t.equal(info(client).reason?.code, 'peer-refused');
    t.match(info(client).reason?.detail, round === 0 ? /^ConnectionRefused/ : /^remembered/);
  }
  t.equal(rdma.requests.length - before, 1);
  t.strictSame(echo.transports, ['tcp', 'tcp', 'tcp']);
  await close(echo.server);
});

const reasonByStatus = [
  [Status.ConnectionRejected, 'peer-rejected', 'port'],
  [Status.IncompatiblePeer, 'peer-incompatible', 'port'],
  [Status.NoRoute, 'no-route', 'address'],
  [Status.HostUnreachable, 'peer-unreachable', 'address'],
  [Status.TimedOut, 'peer-timeout', 'address'],
  [Status.OutOfMemory, 'out-of-memory', 'nothing'],
  [Status.LocalError, 'connection-failed', 'nothing'],
] as const;

for (const [status, code, remembered] of reasonByStatus) {
  test(`after status ${status} the reason is ${code}, remembered by ${remembered}`, async (t) => {
    const [port, echo] = await answering(status);
    const client = net.connect(port, '127.0.0.1');
    await talk(client);
    t.equal(info(client).reason?.code, code);
    t.equal(peers.recall('127.0.0.1', port)?.code, remembered === 'nothing' ? undefined : code);
    t.equal(peers.recall('127.0.0.1', 1)?.code, remembered === 'address' ? code : undefined);
    await close(echo.server);
  });
}

test('when RDMA fails as a whole it is left alone for a while', async (t) => {
  const [port, echo] = await answering(Status.DeviceResources);
  const first = net.connect(port, '127.0.0.1');
  await talk(first);
  const requests = rdma.requests.length;
  const second = net.connect(port, '127.0.0.1');
  await talk(second);
  t.equal(rdma.requests.length, requests);
  t.equal(info(second).reason?.code, 'device-resources');
  await close(echo.server);
  await new Promise((resolve) => setTimeout(resolve, 1001));
});

test('a peer that has got RDMA is found again when the memory expires', async (t) => {
  configure({ peerMemoryMs: 1 });
  const [port, echo] = await answering(Status.ConnectionRefused);
  await talk(net.connect(port, '127.0.0.1'));
  rdma.answers.clear();
  await new Promise((resolve) => setTimeout(resolve, 2));
  const client = net.connect(port, '127.0.0.1');
  await talk(client);
  t.equal(client.transport, 'rdma');
  await close(echo.server);
});

test('while RDMA is silent, TCP starts when the head start is over, and wins', async (t) => {
  const [port, echo] = await answering('silent');
  const startMs = performance.now();
  const client = net.connect(port, '127.0.0.1');
  await once(client, 'connect');
  const elapsedMs = performance.now() - startMs;
  t.ok(elapsedMs >= 49, `${elapsedMs} ms`);
  t.equal(client.transport, 'tcp');
  t.equal(info(client).reason?.code, 'peer-silent');
  await talk(client);
  // If this process was too busy to ask in time, the peer has the rest of its time now.
  await until(() => rdma.openConnections === 0);
  const second = net.connect(port, '127.0.0.1');
  await talk(second);
  t.match(info(second).reason, { code: 'peer-silent', detail: 'remembered' });
  t.strictSame(echo.transports, ['tcp', 'tcp'], 'the program has seen two connections');
  await close(echo.server);
});

test('a refusal starts TCP at once', async (t) => {
  configure({ headStartMs: 10_000 });
  const [port, echo] = await answering(Status.ConnectionRefused);
  const startMs = performance.now();
  await talk(net.connect(port, '127.0.0.1'));
  t.ok(performance.now() - startMs < 5000);
  await close(echo.server);
});

test('an answer within the head start is taken, and TCP never starts', async (t) => {
  configure({ headStartMs: 10_000 });
  const [port, echo] = await answering('hold');
  const client = net.connect(port, '127.0.0.1');
  await until(() => rdma.heldIds.length === 1);
  rdma.release(rdma.heldIds[0] ?? -1);
  await talk(client);
  t.equal(client.transport, 'rdma');
  t.strictSame(echo.transports, ['rdma']);
  await close(echo.server);
});

test('an answer while TCP connects is held, and vanishes when TCP wins', async (t) => {
  configure({ headStartMs: 0 });
  const [port, echo] = await answering('hold');
  const client = net.connect(port, '127.0.0.1');
  const { vanished } = rdma;
  answerWhileTcpConnects(client);
  await once(client, 'connect');
  t.equal(client.transport, 'tcp');
  t.equal(info(client).reason?.code, 'tcp-first');
  t.equal(peers.recall('127.0.0.1', port), undefined, 'the peer does have RDMA');
  await talk(client);
  await turn();
  t.equal(rdma.vanished, vanished + 1);
  t.strictSame(echo.transports, ['tcp'], 'the program has seen one connection');
  await close(echo.server);
});

test('an answer that is held is taken when TCP fails', async (t) => {
  configure({ headStartMs: 0 });
  const port = await closedPort();
  const id = rdma.listen('127.0.0.1', port, 5);
  rdma.answers.set('127.0.0.1', 'hold');
  const client = net.connect(port, '127.0.0.1');
  answerWhileTcpConnects(client);
  await once(client, 'connect');
  t.equal(client.transport, 'rdma');
  t.equal(client.remotePort, port);
  client.destroy();
  rdma.close(id);
  await once(client, 'close');
  await until(() => {
    for (const other of rdma.connectionIds) rdma.reset(other);
    return rdma.openConnections === 0;
  });
});

test('an answer that comes after TCP has failed is taken too', async (t) => {
  const port = await closedPort();
  const id = rdma.listen('127.0.0.1', port, 5);
  rdma.answers.set('127.0.0.1', 'hold');
  configure({ headStartMs: 0 });
  const client = net.connect(port, '127.0.0.1');
  client.once('connectionAttempt', () => {
    process.nextTick(configure, { headStartMs: 60_000 });
  });
  await until(() => rdma.heldIds.length === 1);
  // The refusal of TCP takes a few turns.
  for (let turns = 0; turns < 50; turns++) await turn();
  t.equal(client.connecting, true);
  rdma.release(rdma.heldIds[0] ?? -1);
  await once(client, 'connect');
  t.equal(client.transport, 'rdma');
  client.destroy();
  rdma.close(id);
  await once(client, 'close');
  await until(() => {
    for (const other of rdma.connectionIds) rdma.reset(other);
    return rdma.openConnections === 0;
  });
});

for (const answer of ['silent', Status.ConnectionRefused] as const) {
  test(`when TCP is refused and RDMA answers ${answer}, the error is that of net`, async (t) => {
    const port = await closedPort();
    rdma.answers.set('127.0.0.1', answer);
    const client = net.connect(port, '127.0.0.1');
    const [error] = (await once(client, 'error')) as [ErrorWithCause];
    t.match(error, {
      code: 'ECONNREFUSED',
      errno: -111,
      syscall: 'connect',
      address: '127.0.0.1',
      port,
      message: `connect ECONNREFUSED 127.0.0.1:${port}`,
    });
    await until(() => client.closed);
    t.equal(client.listenerCount('close'), 0);
  });
}

test('when RDMA cannot be completed, TCP is used', async (t) => {
  const [port, echo] = await answering('normal');
  rdma.establishStatus = Status.ConnectionReset;
  const client = net.connect(port, '127.0.0.1');
  await talk(client);
  t.equal(client.transport, 'tcp');
  t.equal(info(client).reason?.code, 'connection-failed');
  t.strictSame(echo.transports, ['tcp']);
  await close(echo.server);
});

test('what was done while connecting holds on both transports', async (t) => {
  for (const answer of ['normal', Status.ConnectionRefused] as const) {
    peers.clear();
    const [port, echo] = await answering(answer);
    const client = new net.Socket();
    client.setNoDelay(true).setKeepAlive(true, 1000).setTimeout(60_000);
    client.connect(port, '127.0.0.1');
    client.write('written ');
    client.end('and ended');
    t.equal((await readAll(client)).toString(), 'written and ended');
    t.equal(client.transport, answer === 'normal' ? 'rdma' : 'tcp');
    t.equal(client.bytesWritten, 17);
    await until(() => client.closed);
    await close(echo.server);
  }
});

test('a socket destroyed in any phase leaves nothing, and no program sees it', async (t) => {
  const phases: [string, Answer, number, (client: net.Socket) => Promise<void>][] = [
    ['before it dials', 'normal', 50, () => Promise.resolve()],
    ['while RDMA is silent', 'silent', 60_000, () => until(() => rdma.openConnections > 0)],
    [
      'when TCP has just started',
      'silent',
      0,
      (client) => once(client, 'connectionAttempt').then(),
    ],
    ['when RDMA has just answered', 'normal', 60_000, (c) => once(c, 'connectionAttempt').then()],
  ];
  for (const [phase, answer, headStartMs, wait] of phases) {
    configure({ headStartMs });
    peers.clear();
    const [port, echo] = await answering(answer);
    const client = net.connect(port, '127.0.0.1');
    await wait(client);
    client.destroy();
    await once(client, 'close');
    for (let turns = 0; turns < 5; turns++) await turn();
    t.equal(rdma.openConnections, 0, phase);
    t.notOk(echo.transports.includes('rdma'), phase);
    await close(echo.server);
  }
});

test('an aborted signal ends the attempt', async (t) => {
  configure({ headStartMs: 60_000 });
  const [port, echo] = await answering('silent');
  const abort = new AbortController();
  const client = net.connect({ port, host: '127.0.0.1', signal: abort.signal });
  await until(() => rdma.openConnections > 0);
  abort.abort();
  const [error] = (await once(client, 'error')) as [Error];
  t.equal(error.name, 'AbortError');
  await turn();
  t.equal(rdma.openConnections, 0);
  await close(echo.server);
});

test('a socket that timed out while connecting can be destroyed', async (t) => {
  configure({ headStartMs: 60_000 });
  const [port, echo] = await answering('silent');
  const client = net.connect({ port, host: '127.0.0.1', timeout: 20 });
  await once(client, 'timeout');
  t.equal(client.connecting, true);
  client.destroy();
  await once(client, 'close');
  t.equal(rdma.openConnections, 0);
  await close(echo.server);
});

test('connecting holds the event loop, even of an unreferenced socket', async (t) => {
  configure({ headStartMs: 60_000 });
  const [port, echo] = await answering('silent');
  const waiting = net.connect(port, '127.0.0.1').unref();
  await until(() => rdma.openConnections === 1);
  t.equal(rdma.referenced, true);
  waiting.destroy();
  await once(waiting, 'close');
  t.equal(rdma.referenced, false);
  const client = net.connect(port, '127.0.0.1').unref();
  rdma.answers.clear();
  await once(client, 'connect');
  t.equal(client.transport, 'rdma');
  await until(() => !rdma.referenced);
  client.ref();
  await talk(client);
  await close(echo.server);
});

test('a socket can be connected again, over another transport', async (t) => {
  const [port, echo] = await answering('normal');
  const client = net.connect(port, '127.0.0.1');
  await talk(client);
  t.equal(client.transport, 'rdma');
  configure({ mode: 'off' });
  client.connect(port, '127.0.0.1');
  await once(client, 'connect');
  t.equal(client.transport, 'tcp');
  t.equal(info(client).reason?.code, 'mode-off');
  client.destroy();
  await once(client, 'close');
  await close(echo.server);
});

test('several addresses of a host are tried, and the one with RDMA is used', async (t) => {
  const [port, echo] = await answering('normal');
  rdma.answers.set(`127.0.0.2#${port}`, Status.HostUnreachable);
  const lookup = lookupOf('127.0.0.2', '127.0.0.1');
  const options = { port, host: 'two.test', lookup, autoSelectFamily: true };
  const client = net.connect(options);
  // Node forgets an end() that comes before the second address is tried.
  await once(client, 'connect');
  await talk(client);
  t.equal(client.transport, 'rdma');
  t.equal(client.autoSelectFamilyAttemptedAddresses.length, 2);
  t.strictSame(echo.transports, ['rdma']);
  await close(echo.server);
});

test('an address that net gives up is given up over RDMA too', async (t) => {
  configure({ headStartMs: 60_000 });
  const [port, echo] = await answering('normal');
  rdma.answers.set(`127.0.0.2#${port}`, 'silent');
  const lookup = lookupOf('127.0.0.2', '127.0.0.1');
  const client = net.connect({
    port,
    host: 'two.test',
    lookup,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: 20,
  });
  await once(client, 'connect');
  t.equal(client.transport, 'rdma');
  t.equal(client.remoteAddress, '127.0.0.1');
  t.equal(rdma.connectionIds.length, 2, 'both ends of the one that is used');
  await talk(client);
  await close(echo.server);
});

test('a TLS socket uses RDMA at the second address as well', async (t) => {
  const server = tls.createServer(serverTls, (socket) => socket.pipe(socket));
  const port = await listen(server);
  rdma.answers.set(`127.0.0.2#${port}`, Status.HostUnreachable);
  const lookup = lookupOf('127.0.0.2', '127.0.0.1');
  const options = { port, host: 'two.test', lookup, autoSelectFamily: true, ...clientTls };
  const client = tls.connect(options as tls.ConnectionOptions);
  await once(client, 'secureConnect');
  t.equal(client.transport, 'rdma');
  await talk(client);
  await close(server);
});

test('a TLS socket over a socket that still connects stays on TCP', async (t) => {
  for (const early of [true, false]) {
    const server = tls.createServer(serverTls, (socket) => socket.pipe(socket));
    const port = await listen(server);
    const raw = net.connect(port, '127.0.0.1');
    // Before or after RDMA has been asked.
    if (!early) await once(raw, 'connectionAttempt');
    const client = tls.connect({ socket: raw, ...clientTls });
    await talk(client);
    t.equal(raw.transport, 'tcp');
    t.equal(info(client).reason?.code, 'tls-while-connecting');
    await close(server);
    await until(() => rdma.openConnections === 0);
  }
});

test('localAddress and localPort are those of the RDMA connection', async (t) => {
  const [port, echo] = await answering('normal');
  const localPort = await closedPort();
  const client = net.connect({ port, host: '127.0.0.1', localAddress: '127.0.0.3', localPort });
  await once(client, 'connect');
  t.equal(client.transport, 'rdma');
  t.equal(client.localAddress, '127.0.0.3');
  t.equal(client.localPort, localPort);
  await talk(client);
  await close(echo.server);
});

test('in mode require, errors have the codes of net and the cause of RDMA', async (t) => {
  configure({ mode: 'require' });
  const port = await closedPort();
  const expected = [
    [Status.ConnectionRefused, 'ECONNREFUSED', 'ERR_RDMA_CONNECTION_REFUSED'],
    [Status.TimedOut, 'ETIMEDOUT', 'ERR_RDMA_TIMED_OUT'],
    [Status.HostUnreachable, 'EHOSTUNREACH', 'ERR_RDMA_HOST_UNREACHABLE'],
    [Status.NoRoute, 'ENETUNREACH', 'ERR_RDMA_NO_ROUTE'],
  ] as const;
  for (const [status, code, causeCode] of expected) {
    rdma.answers.set('127.0.0.1', status);
    const client = net.connect(port, '127.0.0.1');
    const [error] = (await once(client, 'error')) as [ErrorWithCause];
    t.match(error, { code, syscall: 'connect', address: '127.0.0.1', port });
    t.equal(error.cause?.code, causeCode);
    t.equal(client.transport, undefined);
    await until(() => client.closed);
  }
});

test('in mode require nothing is remembered, and TCP is never used', async (t) => {
  configure({ mode: 'require' });
  const [port, echo] = await answering(Status.ConnectionRefused);
  for (let round = 0; round < 2; round++) {
    const client = net.connect(port, '127.0.0.1');
    await once(client, 'error');
  }
  rdma.answers.clear();
  const client = net.connect(port, '127.0.0.1');
  await talk(client);
  t.equal(client.transport, 'rdma');
  t.strictSame(echo.transports, ['rdma']);
  await close(echo.server);
});

test('in mode off everything is TCP', async (t) => {
  const [port, echo] = await answering('normal');
  configure({ mode: 'off' });
  const requests = rdma.requests.length;
  const client = net.connect(port, '127.0.0.1');
  await talk(client);
  t.equal(client.transport, 'tcp');
  t.equal(info(client).reason?.code, 'mode-off');
  t.equal(rdma.requests.length, requests);
  await close(echo.server);
});

test('pipes are left alone', async (t) => {
  const path = `\0rdma-net-test-${process.pid}`;
  const server = net.createServer((socket) => socket.pipe(socket));
  server.listen(path);
  await once(server, 'listening');
  const client = net.connect(path);
  await talk(client);
  t.equal(client.transport, undefined);
  t.equal(info(server).transport, undefined);
  await close(server);
});

test('fallbacks are published', async (t) => {
  const messages: FallbackMessage[] = [];
  subscribe('rdma-net:fallback', (message) => messages.push(message as FallbackMessage));
  const [port, echo] = await answering(Status.ConnectionRefused);
  const client = net.connect(port, '127.0.0.1');
  await talk(client);
  t.equal(messages.length, 1);
  t.equal(messages[0]?.socket, client);
  t.equal(messages[0]?.reason.code, 'peer-refused');
  t.equal(messages[0]?.port, port);
  await close(echo.server);
});

test('many connections at once to an unknown peer all work', async (t) => {
  const [port, echo] = await answering(Status.ConnectionRefused);
  await Promise.all(
    Array.from({ length: 20 }, async () => {
      await talk(net.connect(port, '127.0.0.1'));
    }),
  );
  t.equal(echo.transports.length, 20);
  await close(echo.server);
});

test('fetch works with a peer without RDMA', async (t) => {
  const server = http.createServer((_request, response) => response.end('ok'));
  const port = await listenTcp(server);
  rdma.answers.set(`127.0.0.1#${port}`, Status.ConnectionRefused);
  const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } });
  t.equal(await response.text(), 'ok');
  server.closeAllConnections();
  await close(server);
});
