/**
 * Reads what in-place-sender sends and checks it. Keeps some of the Buffers that it was given, some
 * of these for long, lets go of the others, has garbage collected all the time, and looks whether
 * one that it kept has changed. Arguments: address, port, seed; node needs --expose-gc.
 */
import net from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { info, stats } from '../../../lib/index';
import { HEADER_BYTES, UNCHECKED, patternAt, Random } from './in-place-pattern';
import { listen, say } from './said';

const [address = '', port, seed] = process.argv.slice(2);
const COLLECT_EVERY = 11;
/** One of so many is kept for a while, and one of so many of these to the end. */
const KEEP_ONE_OF = 6;
const KEEP_LONG_ONE_OF = 8;
const KEPT_BYTES_MAX = 8 << 20;

const random = new Random(Number(seed));

/** A stream of messages, in chunks that begin and end anywhere. */
class Messages {
  checked = 0;
  unchecked = 0;
  wrong = 0;
  #header = Buffer.alloc(0);
  #number = 0;
  #offset = 0;
  #left = 0;

  take(chunk: Buffer): void {
    let rest = chunk;
    while (rest.length > 0) rest = this.#left === 0 ? this.#begin(rest) : this.#compare(rest);
  }

  #begin(bytes: Buffer): Buffer {
    const missing = HEADER_BYTES - this.#header.length;
    this.#header = Buffer.concat([this.#header, bytes.subarray(0, missing)]);
    if (this.#header.length === HEADER_BYTES) {
      this.#number = this.#header.readUInt32LE(0);
      this.#left = this.#header.readUInt32LE(4);
      this.#offset = 0;
      this.#header = Buffer.alloc(0);
      const expected = this.checked + this.unchecked;
      if (this.#number % UNCHECKED !== expected) throw new Error(`message ${this.#number}`);
      if (this.#number < UNCHECKED) this.checked++;
      else this.unchecked++;
    }
    return bytes.subarray(missing);
  }

  #compare(bytes: Buffer): Buffer {
    const part = bytes.subarray(0, this.#left);
    if (this.#number < UNCHECKED) {
      if (!part.equals(patternAt(this.#number, part.length, this.#offset))) this.wrong++;
    }
    this.#offset += part.length;
    this.#left -= part.length;
    return bytes.subarray(part.length);
  }
}

interface Kept {
  chunk: Buffer;
  copy: Buffer;
}

/** Buffers that are kept, each with a copy that was made when it came. */
class Keeper {
  kept = 0;
  changed = 0;
  #bytes = 0;
  #short: Kept[] = [];
  #long: Kept[] = [];

  offer(chunk: Buffer): void {
    if (random.below(KEEP_ONE_OF) !== 0) return;
    this.kept++;
    this.#bytes += chunk.length;
    const list = random.below(KEEP_LONG_ONE_OF) === 0 ? this.#long : this.#short;
    list.push({ chunk, copy: Buffer.from(chunk) });
    while (this.#bytes > KEPT_BYTES_MAX) this.#letGo();
  }

  /** Looks at all of them, and keeps none. */
  finish(): void {
    while (this.#short.length + this.#long.length > 0) this.#letGo();
  }

  // Any one of the short list: what comes back is not what went first.
  #letGo(): void {
    const list = this.#short.length > 0 ? this.#short : this.#long;
    const [kept] = list.splice(random.below(list.length), 1);
    if (kept === undefined) return;
    this.#bytes -= kept.chunk.length;
    if (!kept.chunk.equals(kept.copy)) this.changed++;
  }
}

/** Collects until no receive memory is held for the program's Buffers, and says so. */
async function giveBack(): Promise<void> {
  const { slabBytesUsed } = stats() as { slabBytesUsed?: number };
  if (slabBytesUsed === undefined || slabBytesUsed === 0) {
    say('given-back', { slabBytesUsed });
    return;
  }
  gc?.();
  await setImmediate();
  await giveBack();
}

const messages = new Messages();
const keeper = new Keeper();
let chunks = 0;

const socket = net.connect(Number(port), address, () => {
  const { transport } = socket;
  socket.on('close', () => {
    keeper.finish();
    const { checked, unchecked, wrong } = messages;
    const { kept, changed } = keeper;
    const { counters } = info(socket);
    say('closed', {
      transport,
      chunks,
      checked,
      unchecked,
      wrong,
      kept,
      changed,
      counters,
    });
  });
});
socket.on('data', (chunk) => {
  messages.take(chunk);
  keeper.offer(chunk);
  if (++chunks % COLLECT_EVERY === 0) gc?.();
});
socket.on('error', (error) => say('error', { message: error.message }));

listen(
  (command) => {
    if (command === 'give-back') void giveBack();
  },
  () => process.stdin.pause(),
);
