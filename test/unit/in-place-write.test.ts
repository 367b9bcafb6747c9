import { once } from 'node:events';
import type net from 'node:net';
import { pipeline } from 'node:stream/promises';
import { setFlagsFromString } from 'node:v8';
import { alloc } from '../../lib/alloc';
import { info } from '../../lib/info';
import { Status } from '../../lib/native-status';
import type { FakeTransport } from './fake-transport';
import {
  connectedPair,
  fakeRdma,
  finish,
  lastClientId,
  pattern,
  readAll,
  testWith,
  transportOf,
  turn,
  until,
} from './support';

setFlagsFromString('--expose-gc');

const binding = fakeRdma();
const test = testWith(binding);

const KIB = 1024;

interface Pair {
  client: net.Socket;
  server: net.Socket;
  listener: net.Server;
  id: number;
  transport: FakeTransport;
}

async function pair(options: Partial<net.NetConnectOpts> = {}): Promise<Pair> {
  const ends = await connectedPair(options);
  return { ...ends, id: lastClientId(binding), transport: transportOf(binding) };
}

/** A buffer of the package's allocator with bytes to send, when the device knows it. */
async function filled(bytes: number): Promise<Buffer> {
  const buffer = alloc(bytes);
  pattern(bytes).copy(buffer);
  await turn();
  return buffer;
}

/** Writes, and tells how it ended. */
function write(socket: net.Socket, chunk: Uint8Array): { ended: boolean; error: unknown } {
  const result = { ended: false, error: undefined as unknown };
  socket.write(chunk, (error) => {
    result.ended = true;
    result.error = error;
  });
  return result;
}

async function turns(count: number): Promise<void> {
  while (count-- > 0) await turn();
}

test('a buffer of alloc is sent from where it is', async (t) => {
  const { client, server, listener } = await pair();
  const sent = await filled(1_000_000);
  client.end(sent);
  const received = await readAll(server);
  t.ok(received.equals(pattern(1_000_000)));
  t.equal(info(client).counters?.bytesSentInPlace, sent.length);
  t.equal(info(client).counters?.bytesSentCopied, 0);
  t.equal(client.bytesWritten, sent.length);
  await finish(client, server, listener);
});

test('a write in place ends when its memory is free, and not before', async (t) => {
  const { client, server, listener, transport } = await pair();
  transport.stalled = true;
  const sent = await filled(200_000);
  const result = write(client, sent);
  await turns(5);
  t.equal(result.ended, false);
  t.equal(client.bytesWritten, sent.length);
  transport.resumeDevices();
  client.on('drain', () => sent.fill(0));
  const received = readAll(server);
  await until(() => result.ended);
  t.notOk(result.error);
  client.end();
  t.ok((await received).equals(pattern(200_000)));
  await finish(client, server, listener);
});

test('nothing is sent again from memory that the device has read', async (t) => {
  const { client, server, listener, transport } = await pair();
  transport.scribbles = true;
  const buffers = await Promise.all([filled(100_000), filled(150_000), filled(70_000)]);
  const received = readAll(server);
  await pipeline(buffers, client);
  transport.scribbles = false;
  const expected = buffers.map(({ length }) => pattern(length));
  t.ok((await received).equals(Buffer.concat(expected)));
  t.ok(
    buffers.every((buffer) => buffer.every((byte) => byte === 0xee)),
    'the device has had all of it',
  );
  await finish(client, server, listener);
});

test('less than 64 KiB is copied, and its write ends at once', async (t) => {
  const { client, server, listener, transport } = await pair();
  transport.bufferBytes = 256 * KIB;
  transport.stalled = true;
  const memory = await filled(200_000);
  const small = write(client, memory.subarray(0, 64 * KIB - 1));
  await turn();
  t.equal(small.ended, true);
  const large = write(client, memory.subarray(0, 64 * KIB));
  await turns(3);
  t.equal(large.ended, false);
  transport.resumeDevices();
  await until(() => large.ended);
  const { counters } = info(client);
  t.equal(counters?.bytesSentCopied, 64 * KIB - 1);
  t.equal(counters?.bytesSentInPlace, 64 * KIB);
  transport.bufferBytes = 16 * KIB;
  await finish(client, server, listener);
});

test('writes end in the order in which they were made, copied or not', async (t) => {
  const { client, server, listener } = await pair();
  const memory = await filled(400_000);
  const parts = [100, 100_000, 5, 70_000, 65_536, 30_000, 90_000, 1];
  const order: number[] = [];
  let at = 0;
  parts.forEach((bytes, index) => {
    client.write(memory.subarray(at, (at += bytes)), () => order.push(index));
  });
  client.end();
  const received = await readAll(server);
  t.ok(received.equals(pattern(400_000).subarray(0, at)));
  t.strictSame(
    order,
    parts.map((_, index) => index),
  );
  await finish(client, server, listener);
});

test('corked chunks, some in place and some copied, arrive in order', async (t) => {
  const { client, server, listener } = await pair();
  const memory = await filled(300_000);
  const received = readAll(server);
  client.cork();
  client.write('head');
  client.write(memory);
  client.write('between');
  client.write(memory.subarray(1000, 101_000));
  client.write('tail');
  client.uncork();
  client.end();
  const whole = pattern(300_000);
  const expected = ['head', whole, 'between', whole.subarray(1000, 101_000), 'tail'];
  t.ok((await received).equals(Buffer.concat(expected.map((part) => Buffer.from(part as Buffer)))));
  t.equal(info(client).counters?.bytesSentInPlace, 400_000);
  await finish(client, server, listener);
});

test('a write in place that finds no room waits for it', async (t) => {
  const { client, server, listener, transport } = await pair();
  transport.inPlaceMax = 2;
  const memory = await filled(640 * KIB);
  const received = readAll(server);
  client.cork();
  for (let at = 0; at < memory.length; at += 64 * KIB) {
    client.write(memory.subarray(at, at + 64 * KIB));
  }
  client.uncork();
  client.end();
  t.ok((await received).equals(pattern(640 * KIB)));
  transport.inPlaceMax = 4;
  await finish(client, server, listener);
});

test('what was received in place is sent on without a copy', async (t) => {
  const { client, server, listener, transport } = await pair();
  transport.bufferBytes = 1024 * KIB;
  server.pipe(server);
  const received: Buffer[] = [];
  let bytes = 0;
  client.on('data', (piece: Buffer) => {
    received.push(piece);
    bytes += piece.length;
  });
  client.write('begin');
  await until(() => bytes === 5);
  const sent = await filled(700_000);
  client.write(sent);
  await until(() => bytes === 700_005);
  t.ok(Buffer.concat(received).subarray(5).equals(sent));
  t.equal(info(server).counters?.bytesReceivedInPlace, 700_000);
  t.equal(info(server).counters?.bytesSentInPlace, 700_000);
  transport.bufferBytes = 16 * KIB;
  await finish(client, server, listener);
});

test('the sending side can be shut down while memory is being read', async (t) => {
  const { client, server, listener, transport } = await pair();
  transport.stalled = true;
  const sent = await filled(300_000);
  client.end(sent);
  const received = readAll(server);
  await turns(5);
  t.equal(client.writableFinished, false);
  transport.resumeDevices();
  t.ok((await received).equals(pattern(300_000)));
  await finish(client, server, listener);
});

test('destroy does not wait for the device, but the end of the write does', async (t) => {
  const { client, server, listener, transport } = await pair();
  transport.stalled = true;
  const sent = await filled(300_000);
  const result = write(client, sent);
  await turn();
  client.destroy();
  await once(client, 'close');
  await turns(3);
  t.equal(result.ended, false, 'the device may still read');
  const received = readAll(server);
  transport.resumeDevices();
  await until(() => result.ended);
  sent.fill(0);
  t.ok((await received).equals(pattern(300_000)), 'what was taken is sent after the close');
  await finish(server, listener);
});

test('a reset ends a write whose memory the device was reading', async (t) => {
  const { client, server, listener, transport } = await pair();
  server.on('error', () => undefined);
  transport.stalled = true;
  const result = write(client, await filled(300_000));
  await turn();
  client.resetAndDestroy();
  await until(() => client.closed && result.ended);
  transport.resumeDevices();
  t.equal(server.bytesRead, 0);
  await finish(server, listener);
});

test('a connection that breaks ends its writes in place, and who reads has the error', async (t) => {
  const { client, server, listener, transport, id } = await pair();
  transport.stalled = true;
  const memory = await filled(300_000);
  const first = write(client, memory);
  const second = write(client, memory.subarray(0, 100_000));
  const errors: NodeJS.ErrnoException[] = [];
  client.on('error', (error) => errors.push(error));
  client.pause();
  await turn();
  transport.fail(id, Status.ConnectionReset);
  await until(() => first.ended && second.ended);
  t.equal(errors.length, 1);
  t.match(errors[0], { code: 'ECONNRESET', syscall: 'read' });
  t.match(errors[0], { cause: { code: 'ERR_RDMA_CONNECTION_RESET' } });
  transport.resumeDevices();
  await finish(server, listener);
});

test('a connection closed by its peer does not keep a write in place for ever', async (t) => {
  const { client, server, listener, transport } = await pair();
  transport.stalled = true;
  const result = write(client, await filled(300_000));
  await turn();
  server.destroy();
  await once(server, 'close');
  transport.resumeDevices();
  await until(() => result.ended && client.closed);
  t.equal(client.errored, null);
  await finish(listener);
});

test('the buffers of a write live until it has ended', async (t) => {
  const { client, server, listener, transport } = await pair();
  transport.stalled = true;
  let collected = 0;
  const registry = new FinalizationRegistry(() => collected++);
  await (async () => {
    const sent = await filled(300_000);
    registry.register(sent, undefined);
    client.write(sent);
  })();
  const { gc } = globalThis as { gc?: () => void };
  for (let round = 0; round < 5; round++) {
    gc?.();
    await turn();
  }
  t.equal(collected, 0);
  const received = readAll(server);
  transport.resumeDevices();
  client.end();
  t.ok((await received).equals(pattern(300_000)));
  await until(() => {
    gc?.();
    return collected === 1;
  });
  await finish(client, server, listener);
});

test('memory given to another thread while it is sent still arrives', async (t) => {
  const { client, server, listener, transport } = await pair();
  transport.stalled = true;
  const sent = await filled(300_000);
  const result = write(client, sent);
  await turn();
  structuredClone(sent.buffer, { transfer: [sent.buffer as ArrayBuffer] });
  t.equal(sent.length, 0);
  transport.resumeDevices();
  const received = readAll(server);
  await until(() => result.ended);
  client.end();
  t.ok((await received).equals(pattern(300_000)));
  await finish(client, server, listener);
});

test('a small chunk that waits is sent as it was, though its memory is given away', async (t) => {
  const { client, server, listener } = await pair();
  const chunk = new Uint8Array(pattern(60_000));
  client.write(chunk);
  client.end();
  new Uint8Array(structuredClone(chunk.buffer, { transfer: [chunk.buffer] })).fill(0xee);
  const received = await readAll(server);
  t.ok(received.equals(pattern(60_000)));
  await finish(client, server, listener);
});

test('a socket that waits for the device has unsent bytes, and times out as with TCP', async (t) => {
  const { client, server, listener, transport } = await pair();
  transport.stalled = true;
  write(client, await filled(100_000));
  const { _handle: handle } = client as unknown as { _handle: { writeQueueSize: number } };
  t.equal(handle.writeQueueSize, 100_000);
  client.setTimeout(20);
  await once(client, 'timeout');
  transport.resumeDevices();
  server.resume();
  await until(() => handle.writeQueueSize === 0);
  await finish(client, server, listener);
});
