import { subscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import net from 'node:net';
import t, { type Test } from 'tap';
import type { AcceptMessage } from '../../lib/diagnostics';
import { info } from '../../lib/info';
import { configure } from '../../lib/install';
import { Status } from '../../lib/native-status';
import {
  close,
  closedPort,
  fakeRdma,
  listen,
  listenTcp,
  portOf,
  readAll,
  tick,
  transportOf,
  turn,
  until,
  type ErrorWithCause,
} from './support';
import type { FakeTransport } from './fake-transport';

const binding = fakeRdma();
let rdma: FakeTransport;

t.before(async () => {
  const server = net.createServer();
  await listen(server);
  await close(server);
  rdma = transportOf(binding);
});

function test(name: string, body: (t: Test) => Promise<void>): void {
  void t.test(name, async (t) => {
    await body(t);
    configure({ mode: 'prefer' });
    rdma.listenStatus = Status.Ok;
    await until(() => rdma.openConnections === 0 && !rdma.referenced);
    t.equal(rdma.openListeners, 0, 'no listener is left');
  });
}

test('connections over both transports arrive at the same event, counted together', async (t) => {
  const server = net.createServer();
  const sockets: net.Socket[] = [];
  server.on('connection', (socket) => sockets.push(socket));
  const port = await listen(server);
  const clients = [net.connect(port, '127.0.0.1')];
  await once(server, 'connection');
  configure({ mode: 'off' });
  clients.push(net.connect(port, '127.0.0.1'));
  await once(server, 'connection');
  t.strictSame(
    sockets.map(({ transport }) => transport),
    ['rdma', 'tcp'],
  );
  t.equal(info(server).transport, 'rdma');
  const count = await new Promise((resolve) => {
    server.getConnections((_error, connections) => resolve(connections));
  });
  t.equal(count, 2);
  for (const client of clients) client.destroy();
  await close(server);
  t.strictSame(
    sockets.map(({ transport }) => transport),
    ['rdma', 'tcp'],
    'still known after the close',
  );
});

test('accepted sockets are told apart by channel, and come with the options', async (t) => {
  const accepted: AcceptMessage[] = [];
  subscribe('rdma-net:accept', (message) => accepted.push(message as AcceptMessage));
  const server = net.createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true });
  const port = await listen(server);
  const client = net.connect(port, '127.0.0.1');
  const [socket] = (await once(server, 'connection')) as [net.Socket];
  t.equal(socket.allowHalfOpen, true);
  await turn();
  t.equal(accepted[0]?.socket, socket);
  t.equal(accepted[0]?.server, server);
  client.destroy();
  socket.destroy();
  await close(server);
});

test('maxConnections and blockList hold', async (t) => {
  const server = net.createServer();
  server.maxConnections = 1;
  const port = await listen(server);
  const first = net.connect(port, '127.0.0.1');
  await once(server, 'connection');
  const second = net.connect(port, '127.0.0.1');
  second.resume();
  const [dropped] = (await once(server, 'drop')) as [net.DropArgument];
  t.equal(dropped.localPort, port);
  t.equal(dropped.remoteAddress, '127.0.0.1');
  await once(second, 'close');
  first.destroy();
  await close(server);
});

test("'listening' and 'close' do not wait for RDMA", async (t) => {
  const server = net.createServer();
  const order: string[] = [];
  server.on('listening', () => order.push('listening'));
  server.on('close', () => order.push('close'));
  server.listen(0, '127.0.0.1');
  await tick();
  t.strictSame(order, ['listening']);
  t.equal(info(server).transport, 'tcp', 'RDMA is not open yet');
  server.close();
  await tick();
  t.strictSame(order, ['listening', 'close'], 'closed before the RDMA listener was open');
  for (let turns = 0; turns < 3; turns++) await turn();
});

test('a port can be listened on again right after the close', async () => {
  const first = net.createServer();
  const port = await listen(first);
  await close(first);
  const second = net.createServer();
  second.listen(port, '127.0.0.1');
  await until(() => info(second).transport === 'rdma');
  await close(second);
});

test('an unreferenced server does not hold the event loop', async (t) => {
  const server = net.createServer();
  await listen(server);
  t.equal(rdma.referenced, false, 'the TCP listener does, and that is enough');
  server.unref();
  server.ref();
  await close(server);
});

test('a server on all addresses of IPv6 takes IPv4 too', async (t) => {
  const server = net.createServer((socket) => socket.end(String(socket.transport)));
  const port = await listen(server, '::');
  const client = net.connect(port, '127.0.0.1');
  t.equal((await readAll(client)).toString(), 'rdma');
  await close(server);
});

const refusals: [string, net.ServerOpts, net.ListenOptions][] = [
  ['handle-passing', { pauseOnConnect: true }, { host: '127.0.0.1' }],
  ['ipv6-only', {}, { host: '::', ipv6Only: true }],
];

for (const [code, serverOptions, listenOptions] of refusals) {
  test(`a server that cannot have RDMA works over TCP with the reason ${code}`, async (t) => {
    const server = net.createServer(serverOptions, (socket) => {
      socket.destroy();
    });
    server.listen({ port: 0, ...listenOptions });
    await once(server, 'listening');
    t.match(info(server), { transport: 'tcp', reason: { code } });
    const client = net.connect(portOf(server), listenOptions.host === '::' ? '::1' : '127.0.0.1');
    client.resume();
    await once(client, 'close');
    t.equal(client.transport, 'tcp');
    await close(server);
  });
}

test('a server that adopts the handle of another stays on TCP', async (t) => {
  const first = net.createServer();
  await listenTcp(first);
  const second = net.createServer();
  second.listen(first);
  await once(second, 'listening');
  t.equal(info(second).reason?.code, 'listen-handle');
  await close(second);
  await until(() => rdma.openListeners === 0);
});

test('in mode prefer, a listener that cannot be had is a recorded reason', async (t) => {
  rdma.listenStatus = Status.AddressInUse;
  const server = net.createServer((socket) => socket.end('tcp'));
  const port = await listenTcp(server);
  await until(() => info(server).reason !== undefined);
  t.match(info(server), { transport: 'tcp', reason: { code: 'address-in-use' } });
  const client = net.connect(port, '127.0.0.1');
  t.equal((await readAll(client)).toString(), 'tcp');
  await close(server);
});

test('in mode require, a listener that cannot be had is an error', async (t) => {
  const port = await closedPort();
  configure({ mode: 'require' });
  rdma.listenStatus = Status.AddressInUse;
  const server = net.createServer();
  server.on('listening', () => t.fail('it does not listen'));
  server.listen(port, '127.0.0.1');
  const [error] = (await once(server, 'error')) as [ErrorWithCause];
  t.match(error, {
    code: 'EADDRINUSE',
    errno: -98,
    syscall: 'listen',
    address: '127.0.0.1',
    port,
    message: `listen EADDRINUSE: address already in use 127.0.0.1:${port}`,
  });
  t.equal(error.cause?.code, 'ERR_RDMA_ADDRESS_IN_USE');
  t.equal(server.listening, false);
});

test("in mode require, 'listening' comes when RDMA is open", async (t) => {
  configure({ mode: 'require' });
  const server = net.createServer();
  const events: unknown[] = [];
  server.on('close', () => events.push('close'));
  server.on('listening', () => events.push(info(server).transport));
  server.listen(0, '127.0.0.1', () => events.push('callback'));
  await tick();
  t.strictSame(events, []);
  server.close();
  for (let turns = 0; turns < 3; turns++) await turn();
  t.strictSame(events, ['close'], 'not where it was closed before');
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.strictSame(events, ['close', 'rdma', 'callback']);
  t.notOk(Object.hasOwn(server, 'emit'), 'nothing of ours is left on the server');
  await close(server);
});

test('in mode require, a server without RDMA fails before it listens', async (t) => {
  configure({ mode: 'require' });
  const server = net.createServer({ pauseOnConnect: true });
  const events: string[] = [];
  server.on('listening', () => events.push('listening'));
  server.listen(0, '127.0.0.1');
  const [error] = (await once(server, 'error')) as [ErrorWithCause];
  t.equal(error.syscall, 'listen');
  t.equal(error.cause?.code, 'ERR_RDMA_UNAVAILABLE');
  t.strictSame(events, []);
});

test('a listener that fails over TCP is the error of net', async (t) => {
  const first = net.createServer();
  const port = await listen(first);
  const second = net.createServer();
  second.listen(port, '127.0.0.1');
  const [error] = (await once(second, 'error')) as [ErrorWithCause];
  t.equal(error.code, 'EADDRINUSE');
  t.equal(error.cause, undefined);
  await close(first);
});

test('a connection that arrives after the close vanishes', async (t) => {
  const server = net.createServer();
  let seen = 0;
  server.on('connection', () => seen++);
  const port = await listen(server);
  rdma.answers.set(`127.0.0.1#${port}`, 'hold');
  const client = net.connect(port, '127.0.0.1');
  client.on('error', () => undefined);
  await until(() => rdma.heldIds.length === 1);
  rdma.release(rdma.heldIds[0] ?? -1);
  // The response is established in the turn in which the server closes: it has no one to go to.
  const connected = once(client, 'connect');
  client.once('connect', () => server.close());
  await connected;
  await until(() => client.closed);
  t.equal(seen, 0);
  rdma.answers.clear();
  await until(() => rdma.openListeners === 0);
});
