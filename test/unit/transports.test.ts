import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import net from 'node:net';
import t, { type Test } from 'tap';
import { alloc } from '../../lib/alloc';
import { peers } from '../../lib/connect';
import { info } from '../../lib/info';
import { configure } from '../../lib/install';
import { Status } from '../../lib/native-status';
import { stats } from '../../lib/stats';
import type { FakeTransport } from './fake-transport';
import {
  close,
  closedPort,
  fakeTransports,
  finish,
  listenTcp,
  pattern,
  portOf,
  readAll,
  turn,
  until,
  type ErrorWithCause,
} from './support';

const binding = fakeTransports();
let local: FakeTransport;
let rdma: FakeTransport;

function made(transport: FakeTransport | undefined): FakeTransport {
  if (transport === undefined) throw new Error('the transport is not there');
  return transport;
}

/** A server that echoes, and knows over what its connections came. */
async function echo(transports: string[]): Promise<{ server: net.Server; seen: unknown[] }> {
  const seen: unknown[] = [];
  const server = net.createServer((socket) => {
    seen.push(socket.transport);
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await until(() => info(server).transports.join() === [...transports, 'tcp'].join());
  return { server, seen };
}

async function talk(port: number, host = '127.0.0.1'): Promise<net.Socket> {
  const client = net.connect(port, host);
  client.end('hello');
  const answer = await readAll(client);
  if (answer.toString() !== 'hello') throw new Error(`the answer is ${String(answer)}`);
  if (!client.closed) await once(client, 'close');
  return client;
}

t.test('nothing of a transport that is not allowed is loaded or looked up', async (t) => {
  configure({ transports: ['rdma'], spinMicroseconds: 20 });
  const { server } = await echo(['rdma']);
  const client = await talk(portOf(server));
  t.equal(client.transport, 'rdma');
  t.equal(info(server).reasons.local?.code, 'local-off');
  t.equal(info(server).reason, undefined);
  t.equal(binding.local.probes, 0);
  t.equal(binding.local.transport, undefined);
  await close(server);
  configure({ transports: ['local', 'rdma'] });
});

t.test('a transport that cannot be made is a reason, and others are used', async (t) => {
  binding.local.createError = new Error('too many open files');
  const { server } = await echo(['rdma']);
  t.match(info(server).reasons.local, { code: 'local-failed', detail: 'too many open files' });
  const client = await talk(portOf(server));
  t.equal(client.transport, 'rdma');
  await close(server);
  binding.local.createError = undefined;
  // It is left alone for a second.
  await new Promise((resolve) => setTimeout(resolve, 1001));
});

t.test('settings are given to the transports', async (t) => {
  const { server } = await echo(['local', 'rdma']);
  t.strictSame(binding.local.options, { spinMicroseconds: 20 });
  t.strictSame(binding.verbs.options, { spinMicroseconds: 20 });
  await close(server);
  local = made(binding.local.transport);
  rdma = made(binding.verbs.transport);
});

function test(name: string, body: (t: Test) => Promise<void>): void {
  void t.test(name, async (t) => {
    configure({ mode: 'prefer', headStartMs: 50, transports: ['local', 'rdma'] });
    peers.clear();
    await body(t);
    configure({ mode: 'prefer' });
    local.foreignAddresses.clear();
    for (const transport of [local, rdma]) {
      transport.answers.clear();
      transport.listenStatus = Status.Ok;
      await until(() => transport.openConnections === 0 && !transport.referenced);
      t.equal(transport.openListeners, 0, 'no listener is left');
    }
  });
}

test('a peer on this host is reached over shared memory, and nothing else is tried', async (t) => {
  const messages: [string, unknown][] = [];
  const channels = ['listen', 'connect', 'accept'].map((event) => {
    const listener = (message: unknown): void => {
      messages.push([event, (message as { transport: unknown }).transport]);
    };
    subscribe(`rdma-net:${event}`, listener);
    return () => unsubscribe(`rdma-net:${event}`, listener);
  });
  const { server, seen } = await echo(['local', 'rdma']);
  const requests = rdma.requests.length;
  const client = await talk(portOf(server));
  t.equal(client.transport, 'local');
  t.match(info(client), { transport: 'local', reason: undefined, device: 'shm' });
  t.notOk('localGid' in info(client));
  t.equal(info(client).counters?.bytesSent, 5);
  t.strictSame(seen, ['local']);
  t.equal(rdma.requests.length, requests);
  t.match(info(server), { transport: 'local', transports: ['local', 'rdma', 'tcp'] });
  await close(server);
  t.match(info(server), { transport: 'tcp', transports: ['tcp'], reason: undefined });
  for (const stop of channels) stop();
  t.strictSame(messages.sort(), [
    ['accept', 'local'],
    ['connect', 'local'],
    ['listen', 'local'],
    ['listen', 'rdma'],
  ]);
});

test('a peer elsewhere is reached over RDMA after one question', async (t) => {
  const { server, seen } = await echo(['local', 'rdma']);
  local.foreignAddresses.add('127.0.0.1');
  const lookUps = local.lookUps.length;
  t.equal((await talk(portOf(server))).transport, 'rdma');
  t.equal(local.lookUps.length, lookUps + 1);
  rdma.answers.set('127.0.0.1', Status.ConnectionRefused);
  const client = await talk(portOf(server));
  t.equal(client.transport, 'tcp');
  t.match(info(client).reason, { code: 'peer-refused', detail: 'ConnectionRefused' });
  t.strictSame(seen, ['rdma', 'tcp']);
  await close(server);
});

test('a server on this host without rdma-net is reached over TCP as local-refused', async (t) => {
  const server = net.createServer((socket) => socket.pipe(socket));
  configure({ mode: 'off' });
  const port = await listenTcp(server);
  configure({ mode: 'prefer' });
  const requests = rdma.requests.length;
  const first = await talk(port);
  t.equal(first.transport, 'tcp');
  t.match(info(first).reason, {
    code: 'local-refused',
    detail: 'peer-refused: ConnectionRefused',
  });
  t.equal(rdma.requests.length, requests + 1);
  t.match(info(await talk(port)).reason, { code: 'local-refused', detail: '' });
  t.equal(rdma.requests.length, requests + 1, 'that of RDMA is remembered');
  await close(server);
});

test('a failure is not remembered of shared memory, nor that of RDMA held against it', async (t) => {
  const server = net.createServer((socket) => socket.pipe(socket));
  configure({ mode: 'off' });
  const port = await listenTcp(server);
  configure({ mode: 'prefer' });
  t.equal((await talk(port)).transport, 'tcp');
  t.equal(peers.recall('127.0.0.1', port)?.code, 'peer-refused');
  await close(server);
  const later = net.createServer((socket) => socket.pipe(socket));
  later.listen(port, '127.0.0.1');
  await until(() => info(later).transports.includes('local'));
  t.equal((await talk(port)).transport, 'local');
  await close(later);
});

test('what fails after it has begun goes on with RDMA, in the same head start', async (t) => {
  configure({ headStartMs: 60_000 });
  const { server, seen } = await echo(['local', 'rdma']);
  for (const status of [Status.ConnectionRejected, Status.TimedOut, Status.PermissionDenied]) {
    local.answers.set('127.0.0.1', status);
    t.equal((await talk(portOf(server))).transport, 'rdma');
  }
  t.strictSame(seen, ['rdma', 'rdma', 'rdma']);
  t.equal(peers.recall('127.0.0.1', portOf(server)), undefined);
  await close(server);
});

for (const [status, code] of [
  [Status.ConnectionRejected, 'local-user'],
  [Status.LocalError, 'local-failed'],
] as const) {
  test(`when RDMA fails after status ${status} of shared memory, the reason is ${code}`, async (t) => {
    const { server, seen } = await echo(['local', 'rdma']);
    local.answers.set('127.0.0.1', status);
    rdma.answers.set('127.0.0.1', Status.HostUnreachable);
    const client = await talk(portOf(server));
    t.equal(client.transport, 'tcp');
    t.match(info(client).reason, { code, detail: 'peer-unreachable: HostUnreachable' });
    t.strictSame(seen, ['tcp']);
    await close(server);
  });
}

test('a server that does not answer over shared memory is raced with TCP', async (t) => {
  const { server, seen } = await echo(['local', 'rdma']);
  local.answers.set('127.0.0.1', 'silent');
  const requests = local.requests.length;
  for (let round = 1; round <= 2; round++) {
    const client = await talk(portOf(server));
    t.equal(client.transport, 'tcp');
    t.equal(info(client).reason?.code, 'local-slow');
    t.equal(local.requests.length, requests + round, 'it is asked each time');
    t.equal(local.openConnections, 0);
  }
  t.strictSame(seen, ['tcp', 'tcp']);
  await close(server);
});

test('when TCP fails, an answer of shared memory that is held is taken', async (t) => {
  configure({ headStartMs: 0 });
  const port = await closedPort();
  const id = local.listen('127.0.0.1', port, 5);
  local.answers.set('127.0.0.1', 'hold');
  const client = net.connect(port, '127.0.0.1');
  client.once('connectionAttempt', () => {
    process.nextTick(() => {
      local.release(local.heldIds[0] ?? -1);
      local.deliverNow();
    });
  });
  await once(client, 'connect');
  t.equal(client.transport, 'local');
  client.destroy();
  local.close(id);
  await once(client, 'close');
  await until(() => {
    for (const other of local.connectionIds) local.reset(other);
    return local.openConnections === 0;
  });
});

for (const [when, turns] of [
  ['while TCP is under way', 0],
  ['after TCP has failed', 50],
] as const) {
  test(`what fails ${when} goes on with RDMA beside it`, async (t) => {
    configure({ headStartMs: 0 });
    const port = await closedPort();
    const ids = [local.listen('127.0.0.1', port, 5), rdma.listen('127.0.0.1', port, 5)] as const;
    local.answers.set('127.0.0.1', 'hold');
    rdma.answers.set('127.0.0.1', 'hold');
    const client = net.connect(port, '127.0.0.1');
    await new Promise<void>((resolve) => client.once('connectionAttempt', () => resolve()));
    configure({ headStartMs: 60_000 });
    // The refusal of TCP takes a few.
    for (let count = 0; count < turns; count++) await turn();
    local.release(local.heldIds[0] ?? -1, Status.TimedOut);
    local.deliverNow();
    await until(() => rdma.heldIds.length === 1);
    for (let count = 0; count < 50; count++) await turn();
    t.equal(client.connecting, true, 'TCP has failed, and RDMA has its time');
    rdma.release(rdma.heldIds[0] ?? -1);
    await once(client, 'connect');
    t.equal(client.transport, 'rdma');
    client.destroy();
    local.close(ids[0]);
    rdma.close(ids[1]);
    await once(client, 'close');
    await until(() => {
      for (const other of rdma.connectionIds) rdma.reset(other);
      return rdma.openConnections === 0;
    });
  });
}

test('a socket that is destroyed while RDMA is tried second leaves nothing', async (t) => {
  configure({ headStartMs: 60_000 });
  const { server, seen } = await echo(['local', 'rdma']);
  local.answers.set('127.0.0.1', Status.TimedOut);
  rdma.answers.set('127.0.0.1', 'silent');
  const client = net.connect(portOf(server), '127.0.0.1');
  await until(() => rdma.openConnections === 1);
  t.strictSame([local.referenced, rdma.referenced], [false, true]);
  client.destroy();
  await once(client, 'close');
  await turn();
  t.equal(rdma.openConnections, 0);
  t.strictSame(seen, []);
  await close(server);
});

test('connections of two transports with the same ids are told apart', async (t) => {
  const { server } = await echo(['local', 'rdma']);
  const clients: net.Socket[] = [];
  for (const foreign of [false, true]) {
    if (foreign) local.foreignAddresses.add('127.0.0.1');
    for (let count = 0; count < 20; count++) clients.push(net.connect(portOf(server), '127.0.0.1'));
    await Promise.all(clients.slice(-20).map((client) => once(client, 'connect')));
  }
  const shared = local.connectionIds.filter((id) => rdma.connectionIds.includes(id));
  t.ok(shared.length > 0, 'some ids are in both');
  t.match(stats().transports, { local: { connections: 40 }, rdma: { connections: 40 } });
  t.equal(stats().connections, 80);
  const answers = clients.map(async (client, index) => {
    client.end(`message ${index}`);
    return (await readAll(client)).toString();
  });
  t.strictSame(
    await Promise.all(answers),
    clients.map((_, index) => `message ${index}`),
  );
  t.strictSame(
    clients.map(({ transport }) => transport),
    clients.map((_, index) => (index < 20 ? 'local' : 'rdma')),
  );
  await close(server);
});

test('large writes over shared memory register nothing, and arrive', async (t) => {
  const { server } = await echo(['local', 'rdma']);
  const client = net.connect(portOf(server), '127.0.0.1');
  await once(client, 'connect');
  const { registrationMisses } = stats();
  const registered = rdma.registered;
  const bytes = pattern(300_000);
  for (let count = 0; count < 4; count++) client.write(bytes);
  client.end();
  const received = await readAll(client);
  t.ok(received.equals(Buffer.concat([bytes, bytes, bytes, bytes])));
  t.equal(local.registered, 0);
  t.equal(stats().registrationMisses, registrationMisses);
  alloc(100_000);
  t.strictSame([local.registered, rdma.registered], [0, registered + 1]);
  await finish(client);
  await close(server);
});

test('a socket on shared memory can be reset', async (t) => {
  const accepted: net.Socket[] = [];
  const server = net.createServer((socket) => accepted.push(socket));
  server.listen(0, '127.0.0.1');
  await until(() => info(server).transports.includes('local'));
  const client = net.connect(portOf(server), '127.0.0.1');
  await until(() => accepted.length === 1);
  t.equal(accepted[0]?.transport, 'local');
  accepted[0]?.resetAndDestroy();
  const [error] = (await once(client, 'error')) as [ErrorWithCause];
  t.equal(error.code, 'ECONNRESET');
  t.equal(error.cause?.code, 'ERR_RDMA_CONNECTION_RESET');
  await close(server);
});

test('each listener that cannot be had is a reason, and the others serve', async (t) => {
  const fallbacks = (): number => Object.values(stats().fallbacks).reduce((a, b) => a + b, 0);
  const before = fallbacks();
  local.listenStatus = Status.AddressInUse;
  const first = await echo(['rdma']);
  t.match(info(first.server), { transport: 'rdma', reasons: { local: { code: 'local-in-use' } } });
  t.equal((await talk(portOf(first.server))).transport, 'rdma');
  await close(first.server);
  local.listenStatus = Status.Ok;
  rdma.listenStatus = Status.AddressNotAvailable;
  const second = await echo(['local']);
  t.match(info(second.server).reasons.rdma?.code, 'address-not-available');
  t.equal((await talk(portOf(second.server))).transport, 'local');
  await close(second.server);
  t.equal(fallbacks(), before, 'neither has fallen back to TCP');
  local.listenStatus = Status.PinnedLimit;
  const third = await echo([]);
  await until(() => info(third.server).reason !== undefined);
  t.equal(info(third.server).reason?.code, 'pinned-limit');
  t.equal(fallbacks(), before + 1);
  await close(third.server);
  await new Promise((resolve) => setTimeout(resolve, 1001));
});

test('a listener on :: for IPv6 only can be had over shared memory', async (t) => {
  const server = net.createServer((socket) => socket.end(String(socket.transport)));
  server.listen({ port: 0, host: '::', ipv6Only: true });
  await until(() => info(server).transports.length === 2);
  t.strictSame(info(server).transports, ['local', 'tcp']);
  t.equal(info(server).reasons.rdma?.code, 'ipv6-only');
  t.equal(local.ipv6Only.at(-1), true);
  t.equal((await readAll(net.connect(portOf(server), '::1'))).toString(), 'local');
  await close(server);
});

test('in mode require, one transport is enough to listen and to connect', async (t) => {
  configure({ mode: 'require' });
  for (const [broken, transport] of [
    [rdma, 'local'],
    [local, 'rdma'],
  ] as const) {
    broken.listenStatus = Status.AddressInUse;
    const { server, seen } = await echo([transport]);
    t.equal((await talk(portOf(server))).transport, transport);
    t.strictSame(seen, [transport]);
    await close(server);
    broken.listenStatus = Status.Ok;
  }
});

test('in mode require, no transport at all is an error of listen', async (t) => {
  configure({ mode: 'require' });
  local.listenStatus = Status.LocalError;
  rdma.listenStatus = Status.AddressInUse;
  const server = net.createServer();
  server.listen(0, '127.0.0.1');
  const [error] = (await once(server, 'error')) as [ErrorWithCause];
  t.match(error, { code: 'ECONNABORTED', syscall: 'listen' });
  t.equal(error.cause?.code, 'ERR_RDMA_LOCAL_ERROR');
  t.equal(server.listening, false);
});

test('in mode require, nobody on this host is ECONNREFUSED with the cause', async (t) => {
  configure({ mode: 'require' });
  const port = await closedPort();
  for (const [transports, cause] of [
    [['local', 'rdma'], 'ConnectionRefused'],
    [
      ['local'],
      'ConnectionRefused (Nobody with rdma-net listens on this host at that address and port.)',
    ],
  ] as const) {
    configure({ transports });
    const client = net.connect(port, '127.0.0.1');
    const [error] = (await once(client, 'error')) as [ErrorWithCause];
    t.match(error, { code: 'ECONNREFUSED', syscall: 'connect', address: '127.0.0.1', port });
    t.equal(error.cause?.code, 'ERR_RDMA_CONNECTION_REFUSED');
    t.equal(error.cause?.message, cause);
    await until(() => client.closed);
  }
});

test('in mode require, a failure of shared memory is the error when RDMA is not allowed', async (t) => {
  const { server, seen } = await echo(['local', 'rdma']);
  configure({ mode: 'require', transports: ['local'] });
  local.answers.set('127.0.0.1', Status.TimedOut);
  const client = net.connect(portOf(server), '127.0.0.1');
  const [error] = (await once(client, 'error')) as [ErrorWithCause];
  t.equal(error.code, 'ETIMEDOUT');
  t.equal(error.cause?.code, 'ERR_RDMA_TIMED_OUT');
  t.strictSame(seen, []);
  await close(server);
});

test('with shared memory alone, other hosts are reached over TCP as rdma-off', async (t) => {
  const { server } = await echo(['local', 'rdma']);
  configure({ transports: ['local'] });
  local.foreignAddresses.add('127.0.0.1');
  const client = await talk(portOf(server));
  t.equal(client.transport, 'tcp');
  t.equal(info(client).reason?.code, 'rdma-off');
  await close(server);
});
