/** What programs count on of TCP without knowing it: found with Node's own test suites. */

import { once } from 'node:events';
import { stat } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import tls from 'node:tls';
import { UV_ENOTCONN } from '../../lib/errors';
import type { StreamHandle } from '../../lib/handle';
import { info } from '../../lib/info';
import { configure } from '../../lib/install';
import {
  clientTls,
  connectedPair,
  fakeTransports,
  finish,
  listen,
  pattern,
  readAll,
  serverTls,
  testWith,
  turn,
  until,
} from './support';

const binding = fakeTransports();
configure({ transports: ['rdma'] });
const test = testWith(binding);

function handleOf(socket: net.Socket): StreamHandle {
  return (socket as unknown as { _handle: StreamHandle })._handle;
}

test('http2 has sent a response before its stream is reset', async (t) => {
  const listener = http2.createServer();
  listener.on('stream', (stream: http2.ServerHttp2Stream) => {
    stream.respond({ ':status': 200 });
    stream.write('foo');
    stream.destroy();
  });
  const port = await listen(listener);
  const client = http2.connect(`http://127.0.0.1:${port}`);
  const stream = client.request().resume();
  const closed = once(stream, 'close');
  const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders];
  t.equal(headers[':status'], 200);
  await closed;
  client.close();
  await finish(listener);
});

test('a write to a handle that has been closed is EBADF', async (t) => {
  const { client, server, listener } = await connectedPair();
  const failed = once(client, 'error') as Promise<[NodeJS.ErrnoException]>;
  handleOf(client).close();
  client.write('foo');
  const [error] = await failed;
  t.equal(error.message, 'write EBADF');
  await finish(server, listener);
});

test('a socket that is closed before it was read resets its peer', async (t) => {
  const { client, server, listener } = await connectedPair();
  server.pause();
  // A paused socket reads ahead once, and then leaves what comes where it is.
  client.write(pattern(1000));
  await until(() => server.readableLength > 0);
  handleOf(server).readStop();
  await new Promise((resolve) => client.write('unread', resolve));
  await turn();
  await turn();
  const failed = once(client, 'error') as Promise<[NodeJS.ErrnoException]>;
  server.destroy();
  const [error] = await failed;
  t.equal(error.code, 'ECONNRESET');
  await finish(listener);
});

test('a socket that is closed after all was read ends its peer', async () => {
  const { client, server, listener } = await connectedPair();
  client.write('hello');
  await once(server, 'data');
  const read = readAll(client);
  server.destroy();
  await read;
  await finish(client, listener);
});

test('what had to wait for room when the peer closes is EPIPE', async (t) => {
  const { client, server, listener } = await connectedPair({}, { allowHalfOpen: true });
  const failed = once(server, 'error') as Promise<[NodeJS.ErrnoException]>;
  server.write(pattern(1_000_000));
  // Before anything arrives, so that nothing is unread.
  client.destroy();
  const [error] = await failed;
  t.equal(error.code, 'EPIPE');
  await finish(listener);
});

test('the end comes in a later turn than the last bytes', async (t) => {
  const { client, server, listener } = await connectedPair();
  const seen: string[] = [];
  client.on('data', () => {
    seen.push('data');
    setImmediate(() => seen.push('immediate'));
  });
  const ended = once(client, 'end').then(() => seen.push('end'));
  server.end('foo');
  await ended;
  t.strictSame(seen, ['data', 'immediate', 'end']);
  await finish(client, server, listener);
});

test('what C++ reads and what JavaScript reads comes in the order of its arrival', async (t) => {
  const seen: string[] = [];
  const site = http.createServer((request, response) => {
    seen.push(request.url ?? '');
    response.end();
  });
  const asking = net.connect(await listen(site), '127.0.0.1').resume();
  await once(asking, 'connect');
  const { client, server, listener } = await connectedPair();
  client.on('data', () => seen.push('data'));
  await turn();
  const answered = once(asking, 'data');
  asking.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  server.write('foo');
  await answered;
  await until(() => seen.includes('data'));
  t.strictSame(seen, ['/', 'data']);
  await finish(client, server, listener, asking, site);
});

test('a second shutdown does not wait for the first', async (t) => {
  const { client, server, listener } = await connectedPair({ allowHalfOpen: true });
  server.resume();
  client.end();
  await once(client, 'finish');
  t.equal(handleOf(client).onshutdown({}), UV_ENOTCONN);
  await finish(client, server, listener);
});

test("'close' comes after the immediates of its turn, and before another turn", async (t) => {
  const { client, server, listener } = await connectedPair();
  const seen: string[] = [];
  client.on('close', () => seen.push('close'));
  server.resume();
  // From where libuv polls: the immediates are still to come in that turn.
  stat('.', () => {
    client.destroy();
    setImmediate(() => {
      seen.push('immediate');
      setImmediate(() => seen.push('next turn'));
    });
  });
  await until(() => seen.includes('next turn') && seen.includes('close'));
  t.strictSame(seen, ['immediate', 'close', 'next turn']);
  await finish(server, listener);
});

test('a server of the same program has its connection before the client', async (t) => {
  configure({ transports: ['local'] });
  const seen: string[] = [];
  const listener = net.createServer((socket) => {
    seen.push('server');
    socket.end();
  });
  const port = await listen(listener);
  const client = net.connect(port, '127.0.0.1', () => {
    seen.push('client');
    listener.close();
  });
  client.resume();
  await once(client, 'close');
  t.equal(client.transport, 'local');
  t.strictSame(seen, ['server', 'client']);
  configure({ transports: ['rdma'] });
});

test('TLS asks for a buffer to read into as often as it reads', async (t) => {
  const listener = tls.createServer(serverTls, (socket) => socket.end('hello'));
  const port = await listen(listener);
  let asked = 0;
  const pieces: Buffer[] = [];
  const onread = {
    buffer: () => {
      asked++;
      return Buffer.alloc(2);
    },
    callback: (bytes: number, buffer: Uint8Array) => {
      pieces.push(Buffer.from(buffer.subarray(0, bytes)));
      return true;
    },
  };
  const client = tls.connect({ port, host: '127.0.0.1', ...clientTls, onread } as object);
  await once(client, 'end');
  t.equal(Buffer.concat(pieces).toString(), 'hello');
  t.equal(asked, 4, 'once for each piece, and for the one that never came');
  await finish(client, listener);
});

test('TLS over a TLS socket that still connects stays on TCP', async (t) => {
  const listener = tls.createServer(serverTls);
  const port = await listen(listener);
  const outer = tls.connect({ port, host: '127.0.0.1', ...clientTls });
  const inner = tls.connect({ socket: outer, ...clientTls });
  inner.on('error', () => undefined);
  await once(outer, 'secureConnect');
  t.equal(outer.transport, 'tcp');
  t.equal(info(outer).reason?.code, 'tls-while-connecting');
  await finish(inner, outer, listener);
});
