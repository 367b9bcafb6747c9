import { AsyncLocalStorage } from 'node:async_hooks';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import tls from 'node:tls';
import t, { type Test } from 'tap';
import { Status } from '../../lib/native-status';
import {
  clientTls,
  close,
  fakeRdma,
  listen,
  pattern,
  readAll,
  serverTls,
  transportOf,
  until,
} from './support';

const binding = fakeRdma();
// As much as the buffers of both sides of a real connection hold together.
binding.onTransport = (transport) => {
  transport.bufferBytes = 128 * 1024;
};

interface Answer {
  response: http.IncomingMessage;
  body: Buffer;
  socket: net.Socket;
  reused: boolean;
}

async function body(message: NodeJS.ReadableStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

async function send(request: http.ClientRequest, data?: Buffer): Promise<Answer> {
  request.end(data);
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  const { socket } = request;
  if (socket === null) throw new Error('a response without a socket');
  return { response, body: await body(response), socket, reused: request.reusedSocket };
}

/** Answers with the transport, the method and the body that came. */
const echo: http.RequestListener = (request, response) => {
  void body(request).then((data) => {
    response.setHeader('transport', String(request.socket.transport));
    response.end(data);
  });
};

async function leavesNothing(t: Test): Promise<void> {
  await until(() => transportOf(binding).openConnections === 0);
  t.equal(transportOf(binding).openListeners, 0);
}

t.test('http requests run over RDMA, and the agent keeps the connection', async (t) => {
  const server = http.createServer(echo);
  const port = await listen(server);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const data = pattern(300_000);
  for (let round = 0; round < 3; round++) {
    const options = { agent, port, host: '127.0.0.1', method: 'POST' };
    const answer = await send(http.request(options), data);
    t.ok(answer.body.equals(data));
    t.equal(answer.response.headers['transport'], 'rdma');
    t.equal(answer.socket.transport, 'rdma');
    t.equal(answer.reused, round > 0);
  }
  t.equal(transportOf(binding).requests.length, 1, 'one connection');
  agent.destroy();
  await close(server);
  await leavesNothing(t);
});

t.test('the http server reads in C++', async (t) => {
  const server = http.createServer(echo);
  let consumed: unknown;
  server.on('request', (request: http.IncomingMessage) => {
    const { parser } = request.socket as unknown as { parser: { _consumed: unknown } };
    consumed = parser._consumed;
  });
  const port = await listen(server);
  const options = { port, host: '127.0.0.1', method: 'POST', agent: false };
  const answer = await send(http.request(options), Buffer.from('x'));
  t.equal(answer.body.toString(), 'x');
  t.equal(consumed, true);
  await close(server);
  await leavesNothing(t);
});

t.test('pipelined requests are answered in order', async (t) => {
  const server = http.createServer((request, response) => {
    response.end(`<${String(request.url)}>`);
  });
  const port = await listen(server);
  const socket = net.connect(port, '127.0.0.1');
  const paths = Array.from({ length: 50 }, (_, index) => `/${index}`);
  const requests = paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
  socket.write(requests.join(''));
  socket.end('GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  const text = (await readAll(socket)).toString();
  t.strictSame(
    [...text.matchAll(/<(.*?)>/g)].map(([, path]) => path),
    [...paths, '/last'],
  );
  await close(server);
  await leavesNothing(t);
});

t.test('each request of a kept connection has its own AsyncLocalStorage', async (t) => {
  const storage = new AsyncLocalStorage<number>();
  const server = http.createServer((request, response) => {
    storage.run(Number(request.headers['round']), () => {
      setImmediate(() => response.end(String(storage.getStore())));
    });
  });
  const port = await listen(server);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  for (let round = 0; round < 3; round++) {
    await storage.run(round * 10, async () => {
      const headers = { round };
      const request = http.get({ agent, port, host: '127.0.0.1', headers });
      const seen: (number | undefined)[] = [];
      request.on('socket', (socket) => {
        socket.once('data', () => seen.push(storage.getStore()));
      });
      request.on('response', (response) => {
        seen.push(storage.getStore());
        response.on('data', () => seen.push(storage.getStore()));
        response.on('end', () => seen.push(storage.getStore()));
      });
      await once(request, 'close');
      t.strictSame(new Set(seen), new Set([round * 10]));
    });
  }
  agent.destroy();
  await close(server);
  await leavesNothing(t);
});

t.test('an upgraded connection goes on over RDMA', async (t) => {
  const server = http.createServer();
  server.on('upgrade', (_request, socket: net.Socket, head: Buffer) => {
    socket.write('HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n');
    socket.unshift(head);
    socket.pipe(socket);
  });
  const port = await listen(server);
  const headers = { connection: 'upgrade', upgrade: 'echo' };
  const request = http.get({ port, host: '127.0.0.1', headers });
  const [, socket] = (await once(request, 'upgrade')) as [unknown, net.Socket];
  const data = pattern(500_000);
  socket.end(data);
  t.ok((await readAll(socket)).equals(data));
  t.equal(socket.transport, 'rdma');
  await close(server);
  await leavesNothing(t);
});

t.test('a request that is aborted ends on both sides', async (t) => {
  const server = http.createServer();
  const port = await listen(server);
  const request = http.request({ port, host: '127.0.0.1', method: 'POST', agent: false });
  request.on('error', () => undefined);
  request.write('some');
  const [incoming] = (await once(server, 'request')) as [http.IncomingMessage];
  incoming.on('error', () => undefined);
  const closed = new Promise((resolve) => incoming.on('close', resolve));
  request.destroy();
  await closed;
  t.equal(incoming.complete, false);
  await close(server);
  await leavesNothing(t);
});

t.test('https runs over RDMA', async (t) => {
  const server = https.createServer(serverTls, echo);
  const port = await listen(server);
  const data = pattern(300_000);
  const options = { port, host: '127.0.0.1', method: 'POST', agent: false, ...clientTls };
  const answer = await send(https.request(options), data);
  t.ok(answer.body.equals(data));
  t.equal(answer.response.headers['transport'], 'rdma');
  t.equal(answer.socket.transport, 'rdma');
  await close(server);
  await leavesNothing(t);
});

t.test('a TLS client ended while it connects still sends everything', async (t) => {
  const server = tls.createServer(serverTls);
  const port = await listen(server);
  const accepted = once(server, 'secureConnection') as Promise<[tls.TLSSocket]>;
  const client = tls.connect({ port, host: '127.0.0.1', ...clientTls });
  client.end('all I have to say');
  client.resume();
  const [socket] = await accepted;
  t.equal((await readAll(socket)).toString(), 'all I have to say');
  t.equal(client.transport, 'rdma');
  await close(server);
  await leavesNothing(t);
});

t.test('TLS can start on a connection that has been used', async (t) => {
  const server = net.createServer((raw) => {
    raw.once('data', () => {
      raw.write('go');
      const socket = new tls.TLSSocket(raw, { isServer: true, ...serverTls });
      socket.pipe(socket);
    });
  });
  const port = await listen(server);
  const raw = net.connect(port, '127.0.0.1');
  raw.write('starttls');
  await once(raw, 'data');
  const client = tls.connect({ socket: raw, ...clientTls });
  const data = pattern(200_000);
  client.end(data);
  t.ok((await readAll(client)).equals(data));
  t.equal(client.transport, 'rdma');
  await close(server);
  await leavesNothing(t);
});

for (const secure of [false, true]) {
  t.test(`http2 runs over RDMA ${secure ? 'with' : 'without'} TLS`, async (t) => {
    const server = secure ? http2.createSecureServer(serverTls) : http2.createServer();
    server.on('stream', (stream: http2.ServerHttp2Stream) => {
      stream.respond({ ':status': 200 });
      stream.pipe(stream);
    });
    const port = await listen(server);
    const scheme = secure ? 'https' : 'http';
    const client = http2.connect(`${scheme}://127.0.0.1:${port}`, secure ? clientTls : {});
    const data = pattern(300_000);
    const answers = await Promise.all(
      [1, 2, 3].map(async () => {
        const stream = client.request({ ':method': 'POST' });
        stream.end(data);
        return body(stream);
      }),
    );
    for (const answer of answers) t.ok(answer.equals(data));
    t.equal(client.socket.transport, 'rdma');
    client.close();
    await once(client, 'close');
    await close(server);
    await leavesNothing(t);
  });
}

t.test('http2 sessions with large windows do not wait for each other', async (t) => {
  // They do not read while they write, and here the transport holds far less than they send.
  transportOf(binding).bufferBytes = 16 * 1024;
  const settings = { initialWindowSize: 1024 * 1024 };
  const server = http2.createServer({ settings });
  server.on('stream', (stream: http2.ServerHttp2Stream) => {
    stream.respond({ ':status': 200 });
    stream.pipe(stream);
  });
  const port = await listen(server);
  const client = http2.connect(`http://127.0.0.1:${port}`, { settings });
  const data = pattern(400_000);
  const answers = await Promise.all(
    [1, 2, 3].map(async () => {
      const stream = client.request({ ':method': 'POST' });
      stream.end(data);
      return body(stream);
    }),
  );
  transportOf(binding).bufferBytes = 128 * 1024;
  for (const answer of answers) t.ok(answer.equals(data));
  client.close();
  await once(client, 'close');
  await close(server);
  await leavesNothing(t);
});

t.test('what TLS was told to be written is sent after the close, as with TCP', async (t) => {
  const data = pattern(700_000);
  const server = tls.createServer(serverTls, (socket) => {
    socket.write(data, () => socket.destroy());
  });
  const port = await listen(server);
  const client = tls.connect({ port, host: '127.0.0.1', ...clientTls });
  t.ok((await readAll(client)).equals(data));
  await close(server);
  await leavesNothing(t);
});

t.test('a TLS connection that breaks is an error on both sides', async (t) => {
  const errors: NodeJS.ErrnoException[] = [];
  const server = tls.createServer(serverTls, (socket) => {
    socket.on('error', (error: Error) => errors.push(error));
    socket.resume();
  });
  const port = await listen(server);
  const client = tls.connect({ port, host: '127.0.0.1', ...clientTls });
  client.on('error', (error: Error) => errors.push(error));
  await once(client, 'secureConnect');
  const transport = transportOf(binding);
  for (const id of transport.connectionIds) transport.fail(id, Status.ConnectionReset);
  await until(() => errors.length === 2);
  t.strictSame(
    errors.map(({ code }) => code),
    ['ECONNRESET', 'ECONNRESET'],
  );
  await close(server);
  await leavesNothing(t);
});

t.test('fetch runs over RDMA', async (t) => {
  const server = http.createServer(echo);
  const port = await listen(server);
  const response = await fetch(`http://127.0.0.1:${port}/`, {
    method: 'POST',
    body: 'fetched',
    headers: { connection: 'close' },
  });
  t.equal(await response.text(), 'fetched');
  t.equal(response.headers.get('transport'), 'rdma');
  server.closeAllConnections();
  await close(server);
  await leavesNothing(t);
});
