import { once } from 'node:events';
import net from 'node:net';
import { constants } from 'node:os';
import { performance } from 'node:perf_hooks';
import t from 'tap';
import { RdmaError, uvErrnoOf } from '../../lib/errors';
import { info } from '../../lib/info';
import { changeSettings, readEnvironment, settings } from '../../lib/mode';
import { Status } from '../../lib/native-status';
import { stats } from '../../lib/stats';
import { rdmaTransport } from '../../lib/transport';
import { connectedPair, fakeRdma, finish, listen, testWith, transportOf, until } from './support';

t.test('before RDMA is used all statistics are 0', (t) => {
  const { counters, fallbacks, transports, ...totals } = stats();
  t.ok(Object.keys(totals).length >= 11);
  t.strictSame(transports, {});
  for (const [name, value] of Object.entries(totals)) t.equal(value, 0, name);
  for (const [name, value] of Object.entries(counters)) t.equal(value, 0, name);
  t.strictSame(fallbacks, {});
  t.end();
});

t.test('limits can be set, and a mistake is an error', (t) => {
  readEnvironment({ RDMA_NET_PINNED_BYTES_MAX: '1048576', RDMA_NET_QUEUE_PAIRS_MAX: '1' });
  t.equal(settings.pinnedBytesMax, 1048576);
  t.equal(settings.queuePairsMax, 1);
  const mistakes: [() => void, RegExp][] = [
    [
      () => readEnvironment({ RDMA_NET_PINNED_BYTES_MAX: '1048575' }),
      /^RDMA_NET_PINNED_BYTES_MAX is 1048575; expected a whole number from 1048576 to /,
    ],
    [
      () => readEnvironment({ RDMA_NET_PINNED_BYTES_MAX: '64M' }),
      /^RDMA_NET_PINNED_BYTES_MAX is "64M"; expected a whole number/,
    ],
    [
      () => readEnvironment({ RDMA_NET_QUEUE_PAIRS_MAX: '0' }),
      /^RDMA_NET_QUEUE_PAIRS_MAX is 0; expected a whole number from 1 to /,
    ],
    [() => changeSettings({ queuePairsMax: 0 }), /^queuePairsMax is 0; expected/],
    [() => changeSettings({ pinnedBytesMax: 1 }), /^pinnedBytesMax is 1; expected/],
    [
      () => changeSettings({ receiveBufferBytes: 65_535 }),
      /^receiveBufferBytes is 65535; expected a whole number from 65536 to 67108864$/,
    ],
  ];
  for (const [mistake, message] of mistakes) {
    t.throws(mistake, { name: 'ConfigurationError', message });
  }
  t.end();
});

changeSettings({
  pinnedBytesMax: 64 * 1024 * 1024,
  queuePairsMax: 100,
  receiveBufferBytes: 64 * 1024,
  sendBufferBytes: 4096,
});
const binding = fakeRdma();
const test = testWith(binding);

test('limits and sizes that were set are given to the transport', async (t) => {
  const { client, server, listener } = await connectedPair();
  t.strictSame(binding.verbs.options, {
    receiveBufferBytes: 64 * 1024,
    sendBufferBytes: 4096,
    pinnedBytesMax: 64 * 1024 * 1024,
    queuePairsMax: 100,
  });
  await finish(client, server, listener);
});

test('what a transport was made with cannot change, and who tries is told', async (t) => {
  const { client, server, listener } = await connectedPair();
  const before = { ...settings };
  t.throws(() => changeSettings({ headStartMs: 7, sendBufferBytes: 8192 }), {
    name: 'ConfigurationError',
    message: /^sendBufferBytes is 8192; expected 4096, .* before any socket connects or listens$/,
  });
  t.throws(() => changeSettings({ spinMicroseconds: 20 }), { name: 'ConfigurationError' });
  t.strictSame({ ...settings }, before);
  changeSettings({ sendBufferBytes: 4096, queuePairsMax: 100 });
  await finish(client, server, listener);
});

for (const [status, code, errno] of [
  [Status.PinnedLimit, 'pinned-limit', 'ENOMEM'],
  [Status.QueuePairLimit, 'queue-pair-limit', 'ENOBUFS'],
] as const) {
  test(`past the limit new connections go to TCP with ${code}, others carry on`, async (t) => {
    await until(() => rdmaTransport.unavailable() === undefined);
    const established = await connectedPair();
    const { answers, requests } = transportOf(binding);
    const listener = net.createServer((socket) => socket.end());
    const port = await listen(listener);
    answers.set(`127.0.0.1#${port}`, status);
    const before = stats().fallbacks[code] ?? 0;
    const startMs = performance.now();
    for (let connections = 0; connections < 2; connections++) {
      const client = net.connect(port, '127.0.0.1').resume();
      await once(client, 'connect');
      t.equal(client.transport, 'tcp');
      t.equal(info(client).reason?.code, code);
      await once(client, 'close');
    }
    t.equal(requests.filter((request) => request.endsWith(`#${port}`)).length, 1);
    t.equal(stats().fallbacks[code], before + 2);
    established.client.write('still here');
    const [data] = (await once(established.server, 'data')) as [Buffer];
    t.equal(String(data), 'still here');
    await until(() => rdmaTransport.unavailable() === undefined);
    t.ok(performance.now() - startMs < 10_000, 'it passes by itself');
    answers.clear();
    const later = net.connect(port, '127.0.0.1').resume();
    await once(later, 'connect');
    t.equal(later.transport, 'rdma');
    await once(later, 'close');
    await finish(established.client, established.server, established.listener, listener);
    t.match(new RdmaError(status).code, /^ERR_RDMA_(PINNED|QUEUE_PAIR)_LIMIT$/);
    t.equal(uvErrnoOf(status), -constants.errno[errno]);
  });
}
