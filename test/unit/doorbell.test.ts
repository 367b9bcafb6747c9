import { AsyncLocalStorage } from 'node:async_hooks';
import { once } from 'node:events';
import http2 from 'node:http2';
import tls from 'node:tls';
import { info } from '../../lib/info';
import {
  clientTls,
  connectedPair,
  fakeRdma,
  finish,
  listen,
  readAll,
  serverTls,
  testWith,
  tick,
  transportOf,
  turn,
  until,
} from './support';

const binding = fakeRdma();
binding.onTransport = (transport) => {
  transport.bufferBytes = 256 * 1024;
};
const test = testWith(binding);

/** How often the doorbell was rung while something was done and the events of it were handled. */
async function flushesOf(action: () => unknown): Promise<number> {
  const transport = transportOf(binding);
  const before = transport.flushes;
  action();
  await tick();
  await turn();
  return transport.flushes - before;
}

test('a thousand small writes of one tick ring once', async (t) => {
  const { client, server, listener } = await connectedPair();
  const received = readAll(server);
  const flushes = await flushesOf(() => {
    for (let index = 0; index < 1000; index++) client.write(Buffer.alloc(100, index));
  });
  t.equal(flushes, 1);
  client.end();
  t.equal((await received).length, 100_000);
  const { counters } = info(client);
  t.ok(counters !== undefined && counters.workRequests <= 3, '64 KiB leave at once');
  await finish(client, server, listener);
});

test('the first write of a tick leaves at once, and those behind it together', async (t) => {
  const { client, server, listener } = await connectedPair();
  const received = readAll(server);
  // Out of the delivery of the connection, which would ring only at its end.
  await turn();
  const requests = (): number => info(client).counters?.workRequests ?? NaN;
  const before = requests();
  client.write('first');
  t.equal(requests() - before, 1);
  client.write('second');
  client.write('third');
  t.equal(requests() - before, 1);
  await tick();
  t.equal(requests() - before, 2);
  client.cork();
  for (const text of ['a', 'b', 'c']) client.write(text);
  client.uncork();
  t.equal(requests() - before, 3, 'what is corked is one write');
  client.end();
  t.equal((await received).toString(), 'firstsecondthirdabc');
  await finish(client, server, listener);
});

test('writes of microtasks and ticks share one ring', async (t) => {
  const { client, server, listener } = await connectedPair();
  const received = readAll(server);
  const flushes = await flushesOf(() => {
    void (async () => {
      for (let index = 0; index < 10; index++) {
        client.write('x');
        await Promise.resolve();
      }
    })();
    process.nextTick(() => client.write('y'));
  });
  t.equal(flushes, 1);
  client.end();
  t.equal((await received).toString().split('').sort().join(''), 'xxxxxxxxxxy');
  await finish(client, server, listener);
});

test('answers written while data is delivered leave before the next stream is served', async (t) => {
  const pairs = [await connectedPair(), await connectedPair()];
  const transport = transportOf(binding);
  const seen: number[] = [];
  const answers: string[] = [];
  const start = transport.flushes;
  pairs.forEach(({ client, server }, index) => {
    server.on('data', () => {
      seen.push(transport.flushes - start);
      server.write('an');
      void Promise.resolve().then(() => server.write('sw'));
      process.nextTick(() => server.write('er'));
    });
    client.on('data', (data) => (answers[index] = (answers[index] ?? '') + String(data)));
  });
  for (const { client } of pairs) client.write('question');
  await until(() => answers.join('').length === 12);
  t.strictSame(seen, [0, 1], 'before the second stream there was one for the first answer');
  t.strictSame(
    answers.map((text) => text.length),
    [6, 6],
  );
  t.equal(transport.flushes - start, 2, 'the questions, and the begin of each answer, needed none');
  for (const { client, server, listener } of pairs) await finish(client, server, listener);
});

test('what a stream writes to another one while it is served leaves with it', async (t) => {
  const front = await connectedPair();
  const back = await connectedPair();
  front.server.pipe(back.client);
  front.client.write('through');
  const [data] = (await once(back.server, 'data')) as [Buffer];
  t.equal(String(data), 'through');
  for (const { client, server, listener } of [front, back]) await finish(client, server, listener);
});

test('what was written before a listener threw still leaves', async (t) => {
  const { client, server, listener } = await connectedPair();
  const uncaught: unknown[] = [];
  const listeners = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', ({ message }) => {
    uncaught.push(message);
    server.write(' and after');
  });
  server.on('data', () => {
    server.write('before');
    throw new Error('thrown by a listener');
  });
  let text = '';
  client.on('data', (data) => (text += String(data)));
  client.write('x');
  await until(() => text === 'before and after');
  process.removeAllListeners('uncaughtException');
  for (const one of listeners) process.on('uncaughtException', one);
  t.strictSame(uncaught, ['thrown by a listener']);
  await finish(client, server, listener);
});

test('a socket destroyed in the tick of its write still sends, and is not rung for', async (t) => {
  const { client, server, listener } = await connectedPair();
  const received = readAll(server);
  const flushes = await flushesOf(() => {
    client.write('last words');
    client.destroy();
  });
  t.equal(flushes, 0, 'the close has sent it');
  t.equal((await received).toString(), 'last words');
  await finish(client, server, listener);
});

test('end sends what was written before it', async (t) => {
  const { client, server, listener } = await connectedPair();
  const received = readAll(server);
  client.write('hello ');
  client.end('world');
  t.equal((await received).toString(), 'hello world');
  await finish(client, server, listener);
});

test('ringing for all does not keep the AsyncLocalStorage of who wrote first', async (t) => {
  const { client, server, listener } = await connectedPair();
  const storage = new AsyncLocalStorage();
  const transport = transportOf(binding);
  const stores: unknown[] = [];
  const flush = transport.flush.bind(transport);
  transport.flush = (id) => {
    stores.push(storage.getStore());
    flush(id);
  };
  const received = readAll(server);
  await turn();
  storage.run('mine', () => client.write('x') && client.write('y'));
  await tick();
  transport.flush = flush;
  t.strictSame(stores, [undefined]);
  client.end();
  await received;
  await finish(client, server, listener);
});

test('what TLS writes is rung for', async (t) => {
  const listener = tls.createServer(serverTls, (socket) => {
    socket.on('data', (data) => socket.write(`echo ${String(data)}`));
  });
  const port = await listen(listener);
  const client = tls.connect({ port, host: '127.0.0.1', ...clientTls });
  await once(client, 'secureConnect');
  t.equal(client.transport, 'rdma');
  for (const text of ['one', 'two', 'three']) {
    client.write(text);
    const [data] = (await once(client, 'data')) as [Buffer];
    t.equal(String(data), `echo ${text}`);
  }
  await finish(client, listener);
});

test('what http2 writes is rung for', async (t) => {
  const listener = http2.createServer((request, response) => {
    response.write('part ');
    setImmediate(() => response.end(request.url));
  });
  const port = await listen(listener);
  const session = http2.connect(`http://127.0.0.1:${port}`);
  for (const path of ['/one', '/two']) {
    const stream = session.request({ ':path': path });
    let text = '';
    for await (const chunk of stream) text += String(chunk);
    t.equal(text, `part ${path}`);
  }
  session.close();
  await once(session, 'close');
  await finish(listener);
});
