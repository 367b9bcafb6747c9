/**
 * Plays the client of rstream when told: sends `iterations` times `count` transfers and reads as
 * many back, with rstream's data pattern both ways, and says `done` and `closed`.
 *
 *     run ADDRESS PORT BYTES COUNT ITERATIONS
 */
import net from 'node:net';
import { info } from '../../../lib/index';
import { listen, say } from './said';

/** What rstream sends first, and wants back. */
const SYNCHRONISATION_BYTES = 16;
const WRAP = 256;

/** rstream's pattern, a counter that wraps at 256: `length` bytes of it from a position on. */
class Pattern {
  #wheel = Buffer.alloc(0);

  at(position: number, length: number): Buffer {
    if (this.#wheel.length < length + WRAP) {
      const turn = Buffer.from(Array.from({ length: WRAP }, (_, value) => value));
      this.#wheel = Buffer.alloc(length + WRAP, turn);
    }
    const start = position % WRAP;
    return this.#wheel.subarray(start, start + length);
  }
}

const pattern = new Pattern();

function run(address: string, port: number, transferBytes: number, iterations: number): void {
  let sent = 0;
  let received = 0;
  let due = 0;
  let rounds = -1;
  let chunksWrong = 0;
  const socket = net.connect(port, address);

  const nextRound = (): void => {
    rounds++;
    if (rounds === iterations + 1) {
      say('done', { received, chunksWrong, transport: socket.transport, peer: info(socket).peer });
      socket.end();
      return;
    }
    const bytes = rounds === 0 ? SYNCHRONISATION_BYTES : transferBytes;
    due += bytes;
    socket.write(pattern.at(sent, bytes));
    sent += bytes;
  };

  socket.on('connect', nextRound);
  socket.on('data', (chunk) => {
    if (!chunk.equals(pattern.at(received, chunk.length))) chunksWrong++;
    received += chunk.length;
    if (received === due) nextRound();
  });
  socket.on('error', (error) => say('error', { message: error.message }));
  socket.on('close', () => say('closed'));
}

listen(
  (command) => {
    const [, address = '', port, bytes, count, iterations] = command.split(' ');
    run(address, Number(port), Number(bytes) * Number(count), Number(iterations));
  },
  () => process.stdin.pause(),
);
