import { AsyncLocalStorage } from 'node:async_hooks';
import { EventEmitter, once } from 'node:events';
import net from 'node:net';
import os from 'node:os';
import { pipeline } from 'node:stream/promises';
import { info } from '../../lib/info';
import { inside, type TcpHandle } from '../../lib/internals';
import { DetailKind } from '../../lib/native';
import { Status } from '../../lib/native-status';
import {
  connectedPair,
  fakeRdma,
  finish,
  lastClientId,
  listen,
  pattern,
  readAll,
  testWith,
  tick,
  transportOf,
  turn,
  until,
  type ErrorWithCause,
} from './support';

const binding = fakeRdma();

const half = { allowHalfOpen: true };

const clientId = (): number => lastClientId(binding);
const test = testWith(binding);

test('a client and a server echo over RDMA, and the sockets say so', async (t) => {
  const { client, server, listener } = await connectedPair();
  server.pipe(server);
  t.equal(client.transport, 'rdma');
  t.equal(server.transport, 'rdma');
  t.equal(client.remoteAddress, '127.0.0.1');
  t.equal(client.remotePort, (listener.address() as net.AddressInfo).port);
  t.equal(client.remoteFamily, 'IPv4');
  t.equal(server.localPort, client.remotePort);
  t.equal(server.remotePort, client.localPort);
  client.end('hello');
  t.equal((await readAll(client)).toString(), 'hello');
  t.equal(client.bytesWritten, 5);
  await until(() => client.closed && server.closed);
  t.equal(client.transport, 'rdma', 'still known after the close');
  const { device, counters, reason } = info(client);
  t.equal(device, 'fake0');
  t.equal(counters?.bytesSent, 5);
  t.equal(reason, undefined);
  t.equal(client.bytesRead, 5);
  await finish(listener);
});

test('every kind of write arrives', async (t) => {
  const { client, server, listener } = await connectedPair();
  client.write('é€');
  client.write('latin\xe9', 'latin1');
  client.write('ascii', 'ascii');
  client.write('utf16', 'utf16le');
  client.write('6865786172', 'hex');
  client.write(Buffer.alloc(0));
  client.cork();
  client.write('one');
  client.write(Buffer.from('two'));
  client.write('ff', 'hex');
  client.uncork();
  client.cork();
  client.write(Buffer.from('three'));
  client.write(Buffer.from('four'));
  client.uncork();
  client.end('x'.repeat(100_000));
  const expected = Buffer.concat([
    Buffer.from('é€'),
    Buffer.from('latin\xe9', 'latin1'),
    Buffer.from('ascii'),
    Buffer.from('utf16', 'utf16le'),
    Buffer.from('hexar'),
    Buffer.from('onetwo'),
    Buffer.from([0xff]),
    Buffer.from('threefour'),
    Buffer.from('x'.repeat(100_000)),
  ]);
  const received = await readAll(server);
  t.ok(received.equals(expected));
  t.equal(client.bytesWritten, expected.length);
  await finish(client, server, listener);
});

test('strings that have to wait are not overwritten by later ones', async (t) => {
  const first = await connectedPair();
  const second = await connectedPair();
  const lines = Array.from({ length: 2000 }, (_, index) => `${'-'.repeat(90)}${index}\n`);
  for (const line of lines) {
    first.client.write(line);
    second.client.write(line.replaceAll('-', '+'));
  }
  first.client.end();
  second.client.end();
  t.ok(first.client.writableLength > 0, 'there is more than fits');
  const texts = await Promise.all([readAll(first.server), readAll(second.server)]);
  t.equal(texts[0].toString(), lines.join(''));
  t.equal(texts[1].toString(), lines.join('').replaceAll('-', '+'));
  await finish(first.client, first.server, first.listener);
  await finish(second.client, second.server, second.listener);
});

test('large amounts pass in both directions at once, with a reader that pauses', async (t) => {
  const { client, server, listener } = await connectedPair(half, half);
  const upwards = pattern(3_000_000);
  const downwards = pattern(2_000_000);
  let pauses = 0;
  server.on('data', () => {
    if (++pauses % 7 !== 0) return;
    server.pause();
    setTimeout(() => server.resume(), 1);
  });
  const [received, answered] = await Promise.all([
    readAll(server),
    readAll(client),
    pipeline([upwards.subarray(0, 1_000_000), upwards.subarray(1_000_000)], client),
    pipeline([downwards], server),
  ]);
  t.ok(received.equals(upwards));
  t.ok(answered.equals(downwards));
  t.ok(pauses > 7);
  await finish(client, server, listener);
});

test('a transport that reads in parts loses nothing', async (t) => {
  const { client, server, listener } = await connectedPair();
  const transport = transportOf(binding);
  transport.readBytesMax = 1000;
  const sent = pattern(200_000);
  client.end(sent);
  const received = await readAll(server);
  transport.readBytesMax = Number.MAX_SAFE_INTEGER;
  t.ok(received.equals(sent));
  await finish(client, server, listener);
});

test('what the peer closed first can still be answered, on both sides', async (t) => {
  const { client, server, listener } = await connectedPair(half, half);
  client.end('question');
  t.equal((await readAll(server)).toString(), 'question');
  t.equal(server.readyState, 'writeOnly');
  const answer = readAll(client);
  server.end('answer');
  t.equal((await answer).toString(), 'answer');
  await finish(client, server, listener);

  const other = await connectedPair(half, half);
  other.server.end('greeting');
  t.equal((await readAll(other.client)).toString(), 'greeting');
  const reply = readAll(other.server);
  other.client.end('reply');
  t.equal((await reply).toString(), 'reply');
  await finish(other.client, other.server, other.listener);
});

test('a paused socket gets neither data nor end, and all of it later', async (t) => {
  const { client, server, listener } = await connectedPair();
  const events: string[] = [];
  server.pause();
  server.on('data', (chunk) => events.push(String(chunk)));
  server.on('end', () => events.push('end'));
  client.end('late');
  await once(client, 'finish');
  for (let turns = 0; turns < 5; turns++) await turn();
  t.strictSame(events, []);
  server.resume();
  await once(server, 'end');
  t.strictSame(events, ['late', 'end']);
  await finish(client, server, listener);
});

test('readStart delivers nothing before it has returned', async (t) => {
  const { client, server, listener } = await connectedPair({ highWaterMark: 1 } as object);
  client.pause();
  server.write('first');
  await until(() => client.readableLength === 5);
  server.write('second');
  for (let turns = 0; turns < 5; turns++) await turn();
  t.equal(client.readableLength, 5, 'it does not read');
  t.equal(String(client.read()), 'first');
  t.equal(client.readableLength, 0, 'reading has started, nothing has come');
  await until(() => client.readableLength === 6);
  await finish(client, server, listener);
});

test('resetAndDestroy shows the peer a reset', async (t) => {
  const { client, server, listener } = await connectedPair();
  const failed = once(server, 'error') as Promise<[ErrorWithCause]>;
  client.resetAndDestroy();
  await once(client, 'close');
  const [error] = await failed;
  t.equal(error.code, 'ECONNRESET');
  t.equal(error.syscall, 'read');
  t.equal(error.errno, -104);
  t.equal(error.cause?.code, 'ERR_RDMA_CONNECTION_RESET');
  await finish(server, listener);
});

test('resetAndDestroy still refuses what is not a network socket', async (t) => {
  const socket = new net.Socket();
  const failed = once(socket, 'error') as Promise<[Error & { code: string }]>;
  socket.resetAndDestroy();
  const [error] = await failed;
  t.equal(error.code, 'ERR_SOCKET_CLOSED');
});

test('a connection that breaks gives what had arrived, then the error', async (t) => {
  const { client, server, listener } = await connectedPair();
  const seen: string[] = [];
  client.on('data', (chunk) => seen.push(String(chunk)));
  const failed = once(client, 'error') as Promise<[ErrorWithCause]>;
  await turn();
  server.write('last words');
  await tick();
  transportOf(binding).fail(clientId(), Status.RetriesExceeded, 12, DetailKind.CompletionStatus);
  const [error] = await failed;
  t.strictSame(seen, ['last words']);
  t.equal(error.code, 'ETIMEDOUT');
  t.equal(error.cause?.code, 'ERR_RDMA_RETRIES_EXCEEDED');
  t.equal(error.cause?.detail, 12);
  await finish(client, server, listener);
});

test('a write that waits fails when the connection breaks', async (t) => {
  // One byte is enough to stop reading: who reads is told by that, as with TCP.
  const { client, server, listener } = await connectedPair({ highWaterMark: 1 } as object);
  server.pause();
  client.pause();
  server.write('xx');
  await until(() => client.readableLength === 2);
  const failed = once(client, 'error') as Promise<[ErrorWithCause]>;
  const called = new Promise<Error | null | undefined>((resolve) => {
    client.write(pattern(100_000), resolve);
  });
  await turn();
  transportOf(binding).fail(clientId(), Status.ConnectionReset);
  const [[error], callbackError] = await Promise.all([failed, called]);
  t.equal(error.code, 'ECONNRESET');
  t.equal(error.syscall, 'write');
  t.equal(error.cause?.code, 'ERR_RDMA_CONNECTION_RESET');
  t.equal(callbackError, error);
  await finish(server, listener);
});

test('a write to a connection that is known to be broken fails at once', async (t) => {
  // One byte is enough to stop reading, so that the break is not noticed by it.
  const { client, server, listener } = await connectedPair({ highWaterMark: 1 } as object);
  client.pause();
  server.write('xx');
  await until(() => client.readableLength === 2);
  transportOf(binding).fail(clientId(), Status.DeviceRemoved);
  await turn();
  await turn();
  const failed = once(client, 'error') as Promise<[ErrorWithCause]>;
  client.write('too late');
  const [error] = await failed;
  t.equal(error.code, 'ENETDOWN');
  t.equal(error.syscall, 'write');
  t.equal(error.cause?.code, 'ERR_RDMA_DEVICE_REMOVED');
  await finish(server, listener);
});

test('the first write after the peer has closed succeeds, later ones fail', async (t) => {
  const { client, server, listener } = await connectedPair({}, { allowHalfOpen: true });
  client.destroy();
  await readAll(server);
  const error = await new Promise((resolve) => server.write('lost', resolve));
  t.notOk(error, 'as TCP does');
  for (let turns = 0; turns < 3; turns++) await turn();
  const failed = once(server, 'error') as Promise<[ErrorWithCause]>;
  server.write('refused');
  const [later] = await failed;
  t.equal(later.code, 'EPIPE');
  await finish(listener);
});

test('destroy gives up what waits, closes once, and tells the callback', async (t) => {
  const { client, server, listener } = await connectedPair();
  server.pause();
  const called = new Promise<Error | null | undefined>((resolve) => {
    client.write(pattern(100_000), resolve);
  });
  let closes = 0;
  client.on('close', () => closes++);
  client.destroy();
  t.equal(closes, 0, 'not at once');
  await once(client, 'close');
  await called;
  await turn();
  t.equal(closes, 1);
  await finish(server, listener);
});

test('a handle that is closed has no addresses: its id may be that of another connection', async (t) => {
  const { client, server, listener } = await connectedPair();
  const handle = inside(client)._handle as TcpHandle;
  t.equal(handle.getpeername({}), 0);
  await finish(client, server, listener);
  // As if it were.
  const other = { address: '192.0.2.1', family: 'IPv4', port: 1 } as const;
  t.intercept(transportOf(binding), 'localEndpoint', { value: () => other });
  t.intercept(transportOf(binding), 'remoteEndpoint', { value: () => other });
  t.equal(handle.getpeername({}), -os.constants.errno.ENOTCONN);
  t.equal(handle.getsockname({}), -os.constants.errno.ENOTCONN);
});

test('the close callback does not wait for the peer', async (t) => {
  const { client, server, listener } = await connectedPair();
  client.destroy();
  let turns = 0;
  client.on('close', () => (turns = -turns));
  while (turns >= 0 && turns < 10) {
    turns++;
    await turn();
  }
  t.ok(turns < 0 && turns >= -2, `closed after ${-turns} turns`);
  await finish(server, listener);
});

test('the option onread gets the bytes in its buffer, and can pause', async (t) => {
  const buffer = Buffer.alloc(1000);
  const received: Buffer[] = [];
  let calls = 0;
  const paused = new EventEmitter();
  const onread = {
    buffer,
    callback(bytes: number, given: Uint8Array): boolean {
      t.equal(given, buffer);
      received.push(Buffer.from(given.subarray(0, bytes)));
      if (++calls % 3 !== 0) return true;
      paused.emit('paused');
      return false;
    },
  };
  const { client, server, listener } = await connectedPair({ onread });
  paused.on('paused', () => setImmediate(() => client.resume()));
  const sent = pattern(50_000);
  server.end(sent);
  await until(() => client.closed);
  t.ok(Buffer.concat(received).equals(sent));
  t.ok(calls >= 50);
  await finish(server, listener);
});

test('the option onread may give a new buffer each time', async (t) => {
  const used = new Set<Uint8Array>();
  const received: Buffer[] = [];
  const onread = {
    buffer: () => Buffer.alloc(500),
    callback(bytes: number, given: Uint8Array): boolean {
      used.add(given);
      received.push(Buffer.from(given.subarray(0, bytes)));
      return true;
    },
  };
  const { client, server, listener } = await connectedPair({ onread });
  const sent = pattern(5000);
  server.end(sent);
  await until(() => client.closed);
  t.ok(Buffer.concat(received).equals(sent));
  t.equal(used.size, received.length);
  await finish(server, listener);
});

test('AsyncLocalStorage holds as it does with TCP', async (t) => {
  const storage = new AsyncLocalStorage<string>();
  const seen: Record<string, string | undefined> = {};
  const listener = net.createServer((server) => {
    seen['connection'] = storage.getStore();
    server.on('data', () => {
      seen['server data'] = storage.getStore();
      server.end('answer');
    });
  });
  const port = await storage.run('listening', () => listen(listener));
  await storage.run('connecting', async () => {
    const client = net.connect(port, '127.0.0.1', () => {
      seen['connect'] = storage.getStore();
      client.write('question', () => (seen['written'] = storage.getStore()));
    });
    client.on('data', () => (seen['client data'] = storage.getStore()));
    client.on('close', () => (seen['close'] = storage.getStore()));
    await once(client, 'close');
  });
  t.strictSame(seen, {
    connect: 'connecting',
    connection: 'listening',
    written: 'connecting',
    'server data': undefined,
    'client data': 'connecting',
    close: 'connecting',
  });
  await finish(listener);
});

test('microtasks and ticks run between the events of two sockets', async (t) => {
  const first = await connectedPair();
  const second = await connectedPair();
  const order: string[] = [];
  for (const [name, { client }] of [
    ['first', first],
    ['second', second],
  ] as const) {
    client.on('data', () => {
      order.push(name);
      process.nextTick(() => order.push(`${name} tick`));
      void Promise.resolve().then(() => order.push(`${name} microtask`));
    });
  }
  first.server.write('x');
  second.server.write('x');
  await until(() => order.length === 6);
  t.strictSame(order, [
    'first',
    'first tick',
    'first microtask',
    'second',
    'second tick',
    'second microtask',
  ]);
  for (const { client, server, listener } of [first, second]) {
    await finish(client, server, listener);
  }
});

test('a listener that throws is an uncaught exception, and others lose nothing', async (t) => {
  const first = await connectedPair();
  const second = await connectedPair();
  const uncaught: unknown[] = [];
  const seen: string[] = [];
  let throws = 1;
  first.client.on('data', (chunk) => {
    if (throws-- > 0) throw new Error('thrown by a listener');
    seen.push(`first ${String(chunk)}`);
  });
  second.client.on('data', (chunk) => seen.push(`second ${String(chunk)}`));
  const listeners = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (error) => uncaught.push(error.message));
  first.server.write('a');
  second.server.write('b');
  await until(() => seen.length === 1);
  first.server.write('c');
  await until(() => seen.length === 2);
  process.removeAllListeners('uncaughtException');
  for (const listener of listeners) process.on('uncaughtException', listener);
  t.strictSame(uncaught, ['thrown by a listener']);
  t.strictSame(seen, ['second b', 'first c']);
  for (const { client, server, listener } of [first, second]) {
    await finish(client, server, listener);
  }
});

test('what reads holds the event loop, unless it is unreferenced', async (t) => {
  const { client, server, listener } = await connectedPair({ highWaterMark: 1 } as object);
  const transport = transportOf(binding);
  t.equal(transport.referenced, true);
  client.unref();
  server.unref();
  t.equal(transport.referenced, false);
  client.ref();
  t.equal(transport.referenced, true);
  client.pause();
  server.write('xx');
  await until(() => client.readableLength === 2);
  t.equal(transport.referenced, false, 'a paused one does not read');
  await finish(client, server, listener);
});

test('timeouts count activity, and setNoDelay and setKeepAlive are accepted', async (t) => {
  const { client, server, listener } = await connectedPair({ noDelay: true, keepAlive: true });
  client.setNoDelay(false).setKeepAlive(false).setKeepAlive(true, 1000);
  client.setTimeout(20);
  await once(client, 'timeout');
  t.equal(client.destroyed, false);
  await finish(client, server, listener);
});

test('sockets can be iterated', async (t) => {
  const { client, server, listener } = await connectedPair();
  client.end('all of it');
  let text = '';
  for await (const chunk of server) text += String(chunk);
  t.equal(text, 'all of it');
  await finish(client, server, listener);
});
