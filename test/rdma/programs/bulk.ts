/**
 * Sends or receives in large writes, and says what that cost. Both sides know the bytes: at every
 * multiple of 4096 the position itself.
 *
 *     bulk send ADDRESS BYTES            a server: sends to whoever connects, in writes of 1 MiB
 *     bulk data ADDRESS BYTES PORT       connects and reads with 'data'
 *     bulk onread ADDRESS BYTES PORT     connects and reads with the option `onread`
 */
import net from 'node:net';
import { info } from '../../../lib/index';
import { listen, say, serveUntilEnd } from './said';

const [role, address = '', bytes, port] = process.argv.slice(2);
const total = Number(bytes);
const WRITE_BYTES = 1 << 20;
const STAMP_EVERY = 4096;
/** How often `onread` looks at the memory of all Buffers. */
const LOOK_EVERY = 16;

/** Writes from one Buffer, again and again when its last write is complete. */
function send(socket: net.Socket): void {
  let position = 0;
  const next = (buffer: Buffer): void => {
    if (position === total) {
      socket.end();
      return;
    }
    for (let offset = 0; offset < buffer.length; offset += STAMP_EVERY) {
      buffer.writeDoubleLE(position + offset, offset);
    }
    position += buffer.length;
    socket.write(buffer, (error) => {
      if (!error) next(buffer);
    });
  };
  next(Buffer.alloc(WRITE_BYTES));
}

/** Counts what arrives, and the stamps that are wrong. A stamp cut in two is not looked at. */
class Inspector {
  #received = 0;
  #stampsWrong = 0;

  findings(): Record<string, number> {
    return { received: this.#received, stampsWrong: this.#stampsWrong };
  }

  take(chunk: Buffer): void {
    const misaligned = this.#received % STAMP_EVERY;
    const first = misaligned === 0 ? 0 : STAMP_EVERY - misaligned;
    for (let offset = first; offset + 8 <= chunk.length; offset += STAMP_EVERY) {
      if (chunk.readDoubleLE(offset) !== this.#received + offset) this.#stampsWrong++;
    }
    this.#received += chunk.length;
  }
}

function sayHowItWent(
  socket: net.Socket,
  details: () => Record<string, unknown> = () => ({}),
): void {
  const started = process.hrtime.bigint();
  const { transport } = socket;
  socket.on('error', (error) => say('error', { message: error.message }));
  socket.on('close', () => {
    const seconds = Number(process.hrtime.bigint() - started) / 1e9;
    say('closed', { transport, seconds, counters: info(socket).counters, ...details() });
  });
}

function receiveByEvents(): void {
  const inspector = new Inspector();
  const socket = net.connect(Number(port), address, () => {
    sayHowItWent(socket, () => inspector.findings());
  });
  socket.on('data', (chunk) => inspector.take(chunk));
}

/** Reads into one buffer, and measures how much memory other Buffers take meanwhile. */
function receiveByOnread(): void {
  const inspector = new Inspector();
  const own = Buffer.alloc(WRITE_BYTES);
  let buffersForeign = 0;
  let reads = 0;
  let arrayBuffersBefore = 0;
  let arrayBuffersGrownMax = 0;
  const onread = {
    buffer: own,
    callback(length: number, buffer: Uint8Array): boolean {
      if (buffer !== own) buffersForeign++;
      inspector.take(own.subarray(0, length));
      if (reads++ % LOOK_EVERY === 0) {
        const grown = process.memoryUsage().arrayBuffers - arrayBuffersBefore;
        arrayBuffersGrownMax = Math.max(arrayBuffersGrownMax, grown);
      }
      return true;
    },
  };
  const socket = net.connect({ host: address, port: Number(port), onread }, () => {
    arrayBuffersBefore = process.memoryUsage().arrayBuffers;
    sayHowItWent(socket, () => ({
      ...inspector.findings(),
      buffersForeign,
      arrayBuffersGrownMax,
    }));
  });
}

if (role === 'send') {
  const server = net.createServer((socket) => {
    sayHowItWent(socket);
    // What the server received besides the end does not matter, but the end does.
    socket.resume();
    send(socket);
  });
  serveUntilEnd(server, address);
} else {
  if (role === 'onread') receiveByOnread();
  else receiveByEvents();
  listen(
    () => undefined,
    () => process.stdin.pause(),
  );
}
