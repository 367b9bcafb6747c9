import { once } from 'node:events';
import type net from 'node:net';
import { info } from '../../lib/info';
import { Status } from '../../lib/native-status';
import {
  connectedPair,
  fakeRdma,
  finish,
  lastClientId,
  pattern,
  readAll,
  testWith,
  tick,
  transportOf,
  turn,
  until,
} from './support';

const binding = fakeRdma();
binding.onTransport = (transport) => {
  transport.bufferBytes = 1024 * 1024;
};
const test = testWith(binding);

const KIB = 1024;

test('what arrives in large pieces is handed over where it lies', async (t) => {
  const { client, server, listener } = await connectedPair();
  const sent = pattern(2_000_000);
  client.once('data', () => server.end(sent));
  server.write('begin');
  const received = await readAll(client);
  t.ok(received.subarray(5).equals(sent));
  await until(() => client.closed);
  const { counters } = info(client);
  t.equal(counters?.bytesReceivedInPlace, sent.length);
  t.equal(counters?.bytesReceivedCopied, 5);
  t.equal(client.bytesRead, sent.length + 5);
  await finish(server, listener);
});

test('every piece in place is a Buffer over memory of its own', async (t) => {
  const { client, server, listener } = await connectedPair();
  const pieces: Buffer[] = [];
  client.on('data', (piece: Buffer) => pieces.push(piece));
  server.write('begin');
  await until(() => pieces.length === 1);
  server.write(pattern(40 * KIB));
  await tick();
  server.write(pattern(50 * KIB));
  await until(() => pieces.length === 3);
  t.strictSame(
    pieces
      .slice(1)
      .map(({ byteOffset, length, buffer }) => [byteOffset, length, buffer.byteLength]),
    [
      [0, 40 * KIB, 40 * KIB],
      [0, 50 * KIB, 50 * KIB],
    ],
  );
  t.not(pieces[1]?.buffer, pieces[2]?.buffer);
  await finish(client, server, listener);
});

test('few bytes are copied, also where they could be had in place', async (t) => {
  const { client, server, listener } = await connectedPair();
  let bytes = 0;
  client.on('data', (piece: Buffer) => (bytes += piece.length));
  server.write('begin');
  await until(() => bytes === 5);
  server.write(pattern(16 * KIB - 1));
  await until(() => bytes === 16 * KIB + 4);
  t.equal(info(client).counters?.bytesReceivedInPlace, 0);
  server.write(pattern(16 * KIB));
  await until(() => bytes === 32 * KIB + 4);
  t.equal(info(client).counters?.bytesReceivedInPlace, 16 * KIB);
  await finish(client, server, listener);
});

test('pieces in place and copied ones keep their order', async (t) => {
  const { client, server, listener } = await connectedPair();
  const sent = pattern(500_000);
  const received = readAll(client);
  let at = 0;
  for (const bytes of [1, 20_000, 5, 100_000, 15_000, 17_000, 3, 200_000]) {
    server.write(sent.subarray(at, (at += bytes)));
    if (bytes !== 15_000) await tick();
    if (bytes === 5) await turn();
  }
  server.end(sent.subarray(at));
  t.ok((await received).equals(sent));
  await finish(client, server, listener);
});

test('a reader that pauses gets one piece at a time', async (t) => {
  const { client, server, listener } = await connectedPair();
  client.once('data', () => undefined);
  server.write('begin');
  await once(client, 'data');
  const pieces: number[] = [];
  client.on('data', (piece: Buffer) => {
    pieces.push(piece.length);
    client.pause();
  });
  for (const bytes of [20_000, 30_000, 40_000]) {
    server.write(pattern(bytes));
    await tick();
  }
  await until(() => pieces.length === 1);
  for (let turns = 0; turns < 5; turns++) await turn();
  t.strictSame(pieces, [20_000]);
  client.resume();
  await until(() => pieces.length === 2);
  client.resume();
  await until(() => pieces.length === 3);
  t.strictSame(pieces, [20_000, 30_000, 40_000]);
  await finish(client, server, listener);
});

test('memory that was handed over stays as it is after the connection broke', async (t) => {
  const { client, server, listener } = await connectedPair();
  const pieces: Buffer[] = [];
  client.on('data', (piece: Buffer) => pieces.push(piece));
  client.on('error', () => undefined);
  server.write('begin');
  await until(() => pieces.length === 1);
  const sent = pattern(100_000);
  server.write(sent);
  await tick();
  transportOf(binding).fail(lastClientId(binding), Status.ConnectionReset);
  await until(() => client.closed);
  t.equal(pieces.length, 2, 'what had arrived came before the error');
  t.ok(pieces[1]?.equals(sent));
  await finish(server, listener);
});

test('whoever takes a socket that was read in JavaScript reads copies', async (t) => {
  const { client, server, listener } = await connectedPair();
  const id = lastClientId(binding);
  const transport = transportOf(binding);
  client.once('data', () => undefined);
  server.write('begin');
  await once(client, 'data');
  t.equal(transport.readsInPlace(id), true);
  const { _handle: handle } = client as unknown as { _handle: { isStreamBase: boolean } };
  t.equal(handle.isStreamBase, true, 'what C++ asks before it takes a handle');
  t.equal(transport.readsInPlace(id), false);
  await finish(client, server, listener);
});

/** How the bytes came that a reader with the option `onread` got. */
async function readWithOnread(
  buffer: () => Uint8Array,
  take: (bytes: number, memory: Uint8Array, client: net.Socket) => boolean,
  sent: Buffer,
): Promise<{ inPlace: number; copied: number }> {
  const onread = {
    buffer,
    callback(this: net.Socket, bytes: number, memory: Uint8Array): boolean {
      return take(bytes, memory, this);
    },
  };
  const { client, server, listener } = await connectedPair({ onread });
  server.end(sent);
  client.resume();
  await once(client, 'close');
  const { counters } = info(client);
  await finish(server, listener);
  return {
    inPlace: counters?.bytesReceivedInPlace ?? -1,
    copied: counters?.bytesReceivedCopied ?? -1,
  };
}

test('with onread all bytes go straight into the buffer of the program', async (t) => {
  const sent = pattern(3_000_000);
  const own = new Uint8Array(300_000);
  const parts: Buffer[] = [];
  const { inPlace, copied } = await readWithOnread(
    () => own,
    (bytes, memory) => {
      t.equal(memory, own);
      parts.push(Buffer.from(memory.subarray(0, bytes)));
      return true;
    },
    sent,
  );
  t.ok(Buffer.concat(parts).equals(sent));
  t.ok(
    parts.every(({ length }) => length <= own.length),
    'never more than fits',
  );
  t.equal(inPlace, 0);
  t.equal(copied, sent.length);
});

test('with onread each piece may go into another buffer, and nothing into one before', async (t) => {
  const sent = pattern(1_000_000);
  const given: Uint8Array[] = [];
  const parts: Buffer[] = [];
  await readWithOnread(
    () => {
      const next = new Uint8Array(10_000 + given.length);
      given.push(next);
      return next;
    },
    (bytes, memory) => {
      t.equal(memory, given[given.length - 1], 'the one that was given last');
      parts.push(Buffer.from(memory.buffer, 0, bytes));
      return true;
    },
    sent,
  );
  t.ok(Buffer.concat(parts).equals(sent), 'also those that were kept have not changed');
});

test('with onread a callback that returns false pauses, and resume goes on', async (t) => {
  const sent = pattern(200_000);
  let received = 0;
  let paused = false;
  const own = new Uint8Array(50_000);
  await readWithOnread(
    () => own,
    (bytes, _memory, client) => {
      t.equal(paused, false);
      received += bytes;
      paused = true;
      setImmediate(() => {
        paused = false;
        client.resume();
      });
      return false;
    },
    sent,
  );
  t.equal(received, sent.length);
});
