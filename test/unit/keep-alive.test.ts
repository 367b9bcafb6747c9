import { once } from 'node:events';
import net from 'node:net';
import {
  connectedPair,
  fakeRdma,
  finish,
  lastClientId,
  listen,
  testWith,
  transportOf,
} from './support';

const binding = fakeRdma();
const test = testWith(binding);

test('setKeepAlive sends keepalives after the delay that was given, in whole seconds', async (t) => {
  const { client, server, listener } = await connectedPair();
  const id = lastClientId(binding);
  const { keepAlives } = transportOf(binding);
  t.equal(keepAlives.has(id), false, 'none unless asked for');
  const cases: [boolean, number | undefined, number][] = [
    [true, 1000, 1000],
    [true, 2999, 2000],
    [true, 0, 7_200_000],
    [true, 10_000, 10_000],
    [false, undefined, 0],
    [true, 999, 7_200_000],
    [true, 2 ** 31 - 1, 32_767_000],
  ];
  for (const [enable, delayMs, intervalMs] of cases) {
    client.setKeepAlive(enable, delayMs);
    t.equal(keepAlives.get(id), intervalMs, `${String(enable)} ${String(delayMs)}`);
  }
  await finish(client, server, listener);
});

test('the options keepAlive and keepAliveInitialDelay hold on both sides', async (t) => {
  const options = { keepAlive: true, keepAliveInitialDelay: 3000 };
  const { client, server, listener } = await connectedPair(options, options);
  const { keepAlives } = transportOf(binding);
  const id = lastClientId(binding);
  t.equal(keepAlives.get(id), 3000);
  t.equal(keepAlives.get(id + 1), 3000);
  await finish(client, server, listener);
});

test('setKeepAlive before and while connecting holds once it is connected', async (t) => {
  const listener = net.createServer();
  const port = await listen(listener);
  const before = new net.Socket().setKeepAlive(true, 4000);
  before.connect(port, '127.0.0.1');
  await once(before, 'connect');
  const { keepAlives } = transportOf(binding);
  t.equal(keepAlives.get(lastClientId(binding)), 4000);
  await finish(before);
  const during = net.connect(port, '127.0.0.1').setKeepAlive(true, 5000);
  await once(during, 'connect');
  t.equal(keepAlives.get(lastClientId(binding)), 5000);
  await finish(during, listener);
});

test('a connection that is closed keeps nobody alive: the next one may have its id', async (t) => {
  const { client, server, listener } = await connectedPair();
  const { keepAlives } = transportOf(binding);
  const id = lastClientId(binding);
  client.setKeepAlive(true, 1000);
  t.equal(keepAlives.get(id), 1000);
  await finish(client, server, listener);
  t.equal(keepAlives.get(id), 0);
});

test('a socket that is closed, or plain TCP, takes it as ever', async (t) => {
  const { client, server, listener } = await connectedPair();
  await finish(client, server, listener);
  t.equal(client.setKeepAlive(true, 1000), client);
  t.equal(new net.Socket().setNoDelay(true).setKeepAlive(true) instanceof net.Socket, true);
});
