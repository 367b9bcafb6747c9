/**
 * Writes `ticks` times `writes` numbered pieces of 100 bytes, those of a time in one tick, to an
 * echo server, and says what sending cost and what came back. Arguments: address, port, ticks,
 * writes.
 */
import net from 'node:net';
import { info } from '../../../lib/index';
import { say } from './said';

const [address = '', port, ticks, writes] = process.argv.slice(2);
const PIECE_BYTES = 100;
const total = Number(ticks) * Number(writes) * PIECE_BYTES;

const all = Buffer.alloc(total, 'piece');
for (let i = 0; i < total / PIECE_BYTES; i++) all.writeUInt32LE(i, i * PIECE_BYTES);

const socket = net.connect(Number(port), address, () => {
  let position = 0;
  const before = info(socket).counters?.workRequests ?? NaN;
  const tick = (): void => {
    for (let i = 0; i < Number(writes); i++, position += PIECE_BYTES) {
      socket.write(all.subarray(position, position + PIECE_BYTES));
    }
    if (position < total) {
      setImmediate(tick);
      return;
    }
    socket.write('', () => {
      const { transport } = socket;
      const workRequests = (info(socket).counters?.workRequests ?? NaN) - before;
      say('written', { transport, writes: total / PIECE_BYTES, workRequests });
    });
  };
  tick();
});

let received = 0;
let same = true;
socket.on('data', (chunk) => {
  same &&= chunk.equals(all.subarray(received, received + chunk.length));
  received += chunk.length;
  if (received === total) {
    say('echoed', { same });
    socket.end();
  }
});
