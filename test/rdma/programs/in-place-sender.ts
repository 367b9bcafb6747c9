/**
 * Sends messages from memory that it treats badly, while they are sent and after: it forgets,
 * transfers, changes and uses it again, and has garbage collected all the time. A server that sends
 * to the first that connects. Arguments: address, messages, seed; node needs --expose-gc.
 *
 * A message is a header of two integers, number and length, and the length's bytes of a pattern
 * (./in-place-pattern.ts). Memory that is changed while it is sent is sent with the number plus
 * 2^31: its bytes may be anything, as over TCP, but there must be as many.
 */
import net from 'node:net';
import { info } from '../../../lib/index';
import { HEADER_BYTES, UNCHECKED, patternAt, Random } from './in-place-pattern';
import { say, serveUntilEnd } from './said';

const [address = '', messages, seed] = process.argv.slice(2);
const BYTES_MAX = 160 * 1024;
const POOL_BUFFERS = 4;
/** Writes under way at the same time. */
const DEPTH = 12;
const COLLECT_EVERY = 7;

const random = new Random(Number(seed));
/** Memory that is written from again and again, each when its last write is complete. */
const pool: Buffer[] = Array.from({ length: POOL_BUFFERS }, () => Buffer.alloc(BYTES_MAX));
const counts: Record<string, number> = {};

function garble(memory: Uint8Array): void {
  memory.fill(0xee);
}

/** Takes the memory of a Buffer away from it: the Buffer has a length of 0 then. */
function transfer(buffer: Buffer): Uint8Array {
  const memory = structuredClone(buffer.buffer, { transfer: [buffer.buffer as ArrayBuffer] });
  return new Uint8Array(memory);
}

interface Treatment {
  /** Where the pattern is put and sent from. */
  memory: (bytes: number) => Buffer;
  /** What is done to it when `write` has returned. */
  during?: (buffer: Buffer) => void;
  /** What is done to it when the write is complete. */
  after?: (buffer: Buffer) => void;
  unchecked?: boolean;
  /**
   * `during` only when the write has been handed to the socket's handle: a stream's queue in
   * JavaScript would find the Buffer empty, over TCP as well.
   */
  handedOver?: boolean;
}

// Not of Node's pool: an ArrayBuffer of its own, that can be transferred.
const fresh = (bytes: number): Buffer<ArrayBuffer> => Buffer.allocUnsafeSlow(bytes);

const treatments: Record<string, Treatment> = {
  forgotten: { memory: fresh },
  garbledAfterwards: { memory: fresh, after: garble },
  /** Transferred and forgotten while it is sent: V8 may free it and give it to the next. */
  transferred: { memory: fresh, during: (buffer) => void transfer(buffer), handedOver: true },
  transferredAfterwards: { memory: fresh, after: (buffer) => garble(transfer(buffer)) },
  pooled: {
    memory: (bytes) => (pool.pop() ?? fresh(BYTES_MAX)).subarray(0, bytes),
    after: (buffer) => {
      garble(buffer);
      pool.push(Buffer.from(buffer.buffer));
    },
  },
  /** A piece of a larger ArrayBuffer, at any offset. */
  piece: {
    memory: (bytes) => {
      const offset = random.below(10_000);
      return fresh(bytes + offset + 1000).subarray(offset, offset + bytes);
    },
    after: garble,
  },
  shared: { memory: (bytes) => Buffer.from(new SharedArrayBuffer(bytes)), after: garble },
  garbledMeanwhile: { memory: fresh, during: garble, unchecked: true },
  transferredAndGarbled: {
    memory: fresh,
    during: (buffer) => garble(transfer(buffer)),
    unchecked: true,
    handedOver: true,
  },
};
const names = Object.keys(treatments);

/** Mostly large, as only these are sent in place. */
function chooseBytes(): number {
  return random.below(4) === 0 ? 1 + random.below(4096) : 16_384 + random.below(BYTES_MAX - 16_384);
}

function sendOne(socket: net.Socket, number: number, name: string, done: () => void): void {
  const treatment = treatments[name] as Treatment;
  const bytes = chooseBytes();
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(number + (treatment.unchecked === true ? UNCHECKED : 0), 0);
  header.writeUInt32LE(bytes, 4);
  const buffer = treatment.memory(bytes);
  patternAt(number, bytes).copy(buffer);
  socket.write(header);
  const handedOver = socket.writableLength === 0;
  socket.write(buffer, (error) => {
    if (error) return;
    treatment.after?.(buffer);
    done();
  });
  if (treatment.handedOver !== true || handedOver) {
    counts[name] = (counts[name] ?? 0) + 1;
    treatment.during?.(buffer);
  }
  if (number % COLLECT_EVERY === 0) gc?.();
}

function send(socket: net.Socket): void {
  let started = 0;
  let complete = 0;
  let chosen: string | undefined;
  const next = (): void => {
    while (started < Number(messages) && started - complete < DEPTH) {
      chosen ??= names[random.below(names.length)] as string;
      // These wait until the stream's queue is empty.
      if (treatments[chosen]?.handedOver === true && complete < started) return;
      const name = chosen;
      chosen = undefined;
      sendOne(socket, started++, name, () => {
        complete++;
        next();
      });
    }
    if (complete === Number(messages)) socket.end();
  };
  next();
}

const server = net.createServer((socket) => {
  const { transport } = socket;
  socket.on('error', (error) => say('error', { message: error.message }));
  socket.on('close', () => say('closed', { transport, counts, counters: info(socket).counters }));
  socket.resume();
  send(socket);
});
serveUntilEnd(server, address);
