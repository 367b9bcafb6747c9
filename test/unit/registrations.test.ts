import type net from 'node:net';
import { setFlagsFromString } from 'node:v8';
import t, { type Test } from 'tap';
import { alloc } from '../../lib/alloc';
import { info } from '../../lib/info';
import type { Transport } from '../../lib/native';
import { Registrations, noteAllocated } from '../../lib/registrations';
import { stats } from '../../lib/stats';
import { FakeMemory } from './fake-memory';
import {
  connectedPair,
  fakeRdma,
  finish,
  pattern,
  testWith,
  transportOf,
  turn,
  until,
} from './support';

setFlagsFromString('--expose-gc');

const KIB = 1024;
const MIB = 1024 * KIB;

function collectGarbage(): void {
  (globalThis as { gc?: () => void }).gc?.();
}

/** Only what a cache asks of a transport, strict about misuse. */
function cache(): { memory: FakeMemory; registrations: Registrations; pass: (ms: number) => void } {
  const memory = new FakeMemory();
  const transport = {
    register: (buffer: ArrayBuffer) => memory.register(buffer),
    unregister: (id: number) => {
      memory.unregister(id);
    },
  } as Transport;
  let nowMs = 0;
  const registrations = new Registrations(transport, 256 * MIB, () => nowMs);
  return { memory, registrations, pass: (ms) => (nowMs += ms) };
}

/** What a write that could not be sent in place does. */
function writeTwice(registrations: Registrations, buffer: ArrayBufferLike): void {
  registrations.noteMiss(buffer);
  registrations.noteMiss(buffer);
}

t.test('the second write registers an ArrayBuffer, and later ones find it', (t) => {
  const { memory, registrations } = cache();
  const buffer = new ArrayBuffer(128 * KIB);
  registrations.noteMiss(buffer);
  t.equal(memory.made, 0);
  t.equal(registrations.find(buffer), 0);
  registrations.noteMiss(buffer);
  t.equal(memory.made, 1);
  t.ok(registrations.find(buffer) > 0);
  registrations.noteMiss(buffer);
  t.equal(memory.made, 1, 'not again while it is not ready');
  t.equal(registrations.find(new ArrayBuffer(128 * KIB)), 0);
  t.end();
});

t.test('what cannot be registered safely, or is too small, never is', (t) => {
  const { memory, registrations } = cache();
  const Resizable = ArrayBuffer as unknown as new (
    bytes: number,
    options: { maxByteLength: number },
  ) => ArrayBuffer;
  writeTwice(registrations, new SharedArrayBuffer(MIB));
  writeTwice(registrations, new Resizable(MIB, { maxByteLength: 2 * MIB }));
  writeTwice(registrations, new ArrayBuffer(128 * KIB - 1));
  writeTwice(registrations, new ArrayBuffer(257 * MIB));
  const detached = new ArrayBuffer(MIB);
  structuredClone(detached, { transfer: [detached] });
  writeTwice(registrations, detached);
  t.equal(memory.made, 0);
  t.equal(registrations.misses, 10);
  t.end();
});

t.test('a refusal is not asked for again at each write', (t) => {
  const { memory, registrations } = cache();
  memory.bytesMax = 0;
  const buffer = new ArrayBuffer(MIB);
  writeTwice(registrations, buffer);
  memory.bytesMax = MIB;
  for (let writes = 0; writes < 63; writes++) registrations.noteMiss(buffer);
  t.equal(registrations.find(buffer), 0);
  registrations.noteMiss(buffer);
  t.ok(registrations.find(buffer) > 0, 'but later');
  t.end();
});

t.test('bytes are bounded: what has idled for longest gives way, what is in use does not', (t) => {
  const { memory, registrations, pass } = cache();
  const buffers = [0, 1, 2, 3].map(() => new ArrayBuffer(64 * MIB));
  for (const buffer of buffers) registrations.registerNow(buffer);
  const [first, second, third] = buffers;
  const late = new ArrayBuffer(64 * MIB);
  registrations.registerNow(late);
  t.equal(registrations.find(late), 0);
  pass(9000);
  if (first !== undefined) registrations.find(first);
  pass(1000);
  registrations.registerNow(late);
  t.ok(registrations.find(late) > 0);
  t.ok(first !== undefined && registrations.find(first) > 0);
  t.ok(second !== undefined && registrations.find(second) === 0);
  t.ok(third !== undefined && registrations.find(third) > 0);
  t.equal(memory.bytes, 256 * MIB);
  t.end();
});

t.test('the number is bounded', (t) => {
  const { memory, registrations } = cache();
  const buffers = Array.from({ length: 1025 }, () => new ArrayBuffer(128));
  for (const buffer of buffers) registrations.registerNow(buffer);
  t.equal(memory.count, 1024);
  t.end();
});

t.test('an ArrayBuffer that is collected is unregistered', async (t) => {
  const { memory, registrations } = cache();
  (() => {
    registrations.registerNow(new ArrayBuffer(MIB));
  })();
  t.equal(memory.count, 1);
  await until(() => {
    collectGarbage();
    return memory.count === 0;
  });
  t.equal(memory.bytes, 0);
});

t.test('one that was given away is unregistered when it is met, or another is registered', (t) => {
  const { memory, registrations } = cache();
  const met = new ArrayBuffer(MIB);
  const forgotten = new ArrayBuffer(MIB);
  for (const buffer of [met, forgotten]) {
    registrations.registerNow(buffer);
    structuredClone(buffer, { transfer: [buffer] });
  }
  registrations.noteDetached(met);
  t.equal(memory.count, 1);
  registrations.noteDetached(met);
  registrations.registerNow(new ArrayBuffer(MIB));
  t.equal(memory.count, 1, 'the new one');
  t.end();
});

t.test('allocated memory that could not be registered yet is with its first write', (t) => {
  const { memory, registrations } = cache();
  const buffer = new ArrayBuffer(64 * KIB);
  noteAllocated(buffer, undefined);
  registrations.noteMiss(buffer);
  t.equal(memory.made, 1);
  t.ok(registrations.find(buffer) > 0);
  t.end();
});

// --- Over sockets ---------------------------------------------------------------------------------

const binding = fakeRdma();
binding.onTransport = (transport) => {
  transport.bufferBytes = MIB;
};
const test = testWith(binding);

/** Writes, waits until the bytes are there, and checks them. */
async function transfer(t: Test, from: net.Socket, to: net.Socket, chunk: Buffer): Promise<void> {
  const expected = Buffer.from(chunk);
  const received: Buffer[] = [];
  let bytes = 0;
  const onData = (piece: Buffer): void => {
    received.push(piece);
    bytes += piece.length;
  };
  to.on('data', onData);
  await new Promise((resolve) => from.write(chunk, resolve));
  await until(() => bytes === expected.length);
  to.off('data', onData);
  t.ok(Buffer.concat(received).equals(expected));
}

test('a buffer that is written again and again is copied twice', async (t) => {
  const { client, server, listener } = await connectedPair();
  const before = stats();
  const chunk = pattern(200_000);
  for (let writes = 0; writes < 5; writes++) await transfer(t, client, server, chunk);
  const { counters } = info(client);
  t.equal(counters?.bytesSentCopied, 400_000);
  t.equal(counters?.bytesSentInPlace, 600_000);
  const { registrationHits, registrationMisses, registrationsMade } = stats();
  t.equal(registrationHits - before.registrationHits, 3);
  t.equal(registrationMisses - before.registrationMisses, 2);
  t.equal(registrationsMade - before.registrationsMade, 1);
  await finish(client, server, listener);
});

test('a buffer that is written once is never registered, however slowly it leaves', async (t) => {
  const { client, server, listener } = await connectedPair();
  const before = stats().registrationsMade;
  await transfer(t, client, server, pattern(5_000_000));
  t.equal(stats().registrationsMade, before);
  await finish(client, server, listener);
});

// The fake throws when a registration is used with another ArrayBuffer than its own.
test('after a transfer neither the new owner nor other memory is sent as the old one', async (t) => {
  const { client, server, listener } = await connectedPair();
  let chunk = pattern(300_000);
  for (let round = 0; round < 3; round++) {
    for (let writes = 0; writes < 3; writes++) await transfer(t, client, server, chunk);
    const memory = chunk.buffer as ArrayBuffer;
    const moved = structuredClone(memory, { transfer: [memory] });
    await new Promise((resolve) => client.write(chunk, resolve));
    chunk = Buffer.from(moved).fill(round);
    await transfer(t, client, server, pattern(300_000));
  }
  await finish(client, server, listener);
});

test('memory that V8 uses again is never sent through a stale registration', async (t) => {
  const { client, server, listener } = await connectedPair();
  const { memory } = transportOf(binding);
  const countBefore = memory.count;
  const madeBefore = memory.made;
  for (let round = 0; round < 20; round++) {
    const chunk = Buffer.from(new ArrayBuffer(256 * KIB)).fill(round);
    for (let writes = 0; writes < 3; writes++) await transfer(t, client, server, chunk);
    collectGarbage();
    await turn();
  }
  t.equal(memory.made - madeBefore, 20);
  await until(() => {
    collectGarbage();
    return memory.count <= countBefore + 1;
  });
  await finish(client, server, listener);
});

test('an empty write of memory that was given away unregisters it', async (t) => {
  const { client, server, listener } = await connectedPair();
  const { memory } = transportOf(binding);
  const chunk = alloc(100_000);
  const { count } = memory;
  structuredClone(chunk.buffer, { transfer: [chunk.buffer as ArrayBuffer] });
  client.write(chunk);
  t.equal(memory.count, count - 1);
  await finish(client, server, listener);
});

test('alloc registers at once from 64 KiB on, and fills with zeros', async (t) => {
  const { client, server, listener } = await connectedPair();
  const { memory } = transportOf(binding);
  const { made } = memory;
  const small = alloc(64 * KIB - 1);
  t.equal(memory.made, made);
  const large = alloc(64 * KIB);
  t.equal(memory.made, made + 1);
  for (const buffer of [small, large, alloc(0)]) {
    t.ok(Buffer.isBuffer(buffer));
    t.equal(buffer.buffer.byteLength, buffer.length, 'its own ArrayBuffer');
    t.ok(buffer.every((byte) => byte === 0));
  }
  await turn();
  await transfer(t, client, server, large);
  t.equal(info(client).counters?.bytesSentInPlace, 64 * KIB);
  await finish(client, server, listener);
});

t.test('alloc says what it takes', (t) => {
  const bad: [unknown, RegExp][] = [
    ['1', /^alloc\(\) takes a whole number of bytes from 0 to \d+, not string$/],
    [undefined, /not undefined$/],
    [-1, /not -1$/],
    [1.5, /not 1.5$/],
    [NaN, /not NaN$/],
    [Infinity, /not Infinity$/],
  ];
  for (const [value, message] of bad) {
    const name = typeof value === 'number' ? 'RangeError' : 'TypeError';
    t.throws(() => alloc(value as number), { name, message });
  }
  t.end();
});
