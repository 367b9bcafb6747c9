/**
 * One side of endless streams in both directions, one of which is killed. Each stream is a sequence
 * of numbers, so that a byte tells its place. Argument: address.
 *
 *     listen                    says `listening`
 *     stream PORT COUNT         connects so often; when all are connected says `streaming`
 *     kill-at BYTES PID...      kills these, in this order, when so many bytes have been received
 *                               since the last report
 *     report                    says `report` when no connection is left: what was wrong, and how
 *                               they ended
 */
import { once } from 'node:events';
import net from 'node:net';
import { listen, say, sayWhenListening } from '../../rdma/programs/said';

const [address = ''] = process.argv.slice(2);
const WORD_BYTES = 4;
const CHUNK_WORDS_MAX = 24 * 1024;
const CHUNKS_A_TURN = 8;

const open = new Set<net.Socket>();
let server: net.Server | undefined;
let received = 0;
let limit = Infinity;
let victims: number[] = [];
let onEmpty: (() => void) | undefined;
let report = { connections: 0, wrong: 0, ended: 0, errors: {} as Record<string, number> };
const transports = new Set<string>();

/** The number at a place of a stream: a bijection, so that every place has another. */
function wordAt(index: number): number {
  return Math.imul(index, 0x9e3779b1) >>> 0;
}

/** Looks at every byte. */
class Reader {
  #index = 0;
  #rest: Buffer = Buffer.alloc(0);

  /** @returns whether all of it was right */
  take(chunk: Buffer): boolean {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const whole = bytes.length - (bytes.length % WORD_BYTES);
    for (let offset = 0; offset < whole; offset += WORD_BYTES) {
      if (bytes.readUInt32LE(offset) !== wordAt(this.#index++)) return false;
    }
    this.#rest = bytes.subarray(whole);
    return true;
  }
}

function send(socket: net.Socket): void {
  let index = 0;
  const more = (): void => {
    // A peer that keeps up never has us wait: the others shall have their turn, too.
    for (let left = CHUNKS_A_TURN; left > 0; left--) {
      // Sizes of all kinds: some are copied, and some are sent in place.
      const words = 1 + (wordAt(index) % (index % 3 === 0 ? CHUNK_WORDS_MAX : 64));
      const chunk = Buffer.allocUnsafe(words * WORD_BYTES);
      for (let i = 0; i < words; i++) chunk.writeUInt32LE(wordAt(index++), i * WORD_BYTES);
      if (!socket.write(chunk)) {
        socket.once('drain', more);
        return;
      }
    }
    if (!socket.destroyed) setImmediate(more);
  };
  more();
}

function kill(): void {
  limit = Infinity;
  for (const pid of victims) process.kill(pid, 'SIGKILL');
}

function add(socket: net.Socket): void {
  const reader = new Reader();
  open.add(socket);
  report.connections++;
  transports.add(socket.transport ?? 'none');
  socket.on('data', (chunk: Buffer) => {
    if (!reader.take(chunk)) report.wrong++;
    received += chunk.length;
    if (received >= limit) kill();
  });
  socket.on('end', () => report.ended++);
  socket.on('error', ({ code = 'none' }: NodeJS.ErrnoException) => {
    report.errors[code] = (report.errors[code] ?? 0) + 1;
  });
  socket.on('close', () => {
    open.delete(socket);
    if (open.size === 0) onEmpty?.();
  });
  send(socket);
}

async function stream(port: number, count: number): Promise<void> {
  const sockets = Array.from({ length: count }, () => net.connect(port, address));
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  for (const socket of sockets) add(socket);
  say('streaming');
}

function sayReport(): void {
  onEmpty = undefined;
  say('report', { ...report, transports: [...transports] });
  report = { connections: 0, wrong: 0, ended: 0, errors: {} };
  received = 0;
}

function obey(command: string): void {
  const [verb, ...rest] = command.split(' ');
  const [first = NaN, ...others] = rest.map(Number);
  if (verb === 'listen') {
    server = net.createServer(add);
    sayWhenListening(server);
    server.listen(0, address);
  } else if (verb === 'stream') void stream(first, others[0] ?? 1);
  else if (verb === 'kill-at') {
    [limit, victims] = [first, others];
    if (received >= limit) kill();
    else say('armed');
  } else if (verb === 'report') {
    if (open.size === 0) sayReport();
    else onEmpty = sayReport;
  } else throw new Error(`unknown command: ${command}`);
}

listen(obey, () => {
  server?.close();
  for (const socket of open) socket.destroy();
});
say('ready');
