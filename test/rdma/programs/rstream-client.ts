/**
 * Plays the client of rstream: sends `iterations` times `count` transfers and reads as many back,
 * with rstream's data pattern both ways. Arguments: address, port, bytes, count, iterations.
 */
import net from 'node:net';
import { info } from '../../../lib/index';
import { say } from './said';

const [address = '', port, bytes, count, iterations] = process.argv.slice(2);
const transferBytes = Number(bytes) * Number(count);

let sendCounter = 0;
let receiveCounter = 0;
let wrong = 0;
let left = 0;
let rounds = -1;

/** The next bytes of rstream's pattern: a counter that wraps at 256. */
function pattern(length: number): Buffer {
  const buffer = Buffer.allocUnsafe(length);
  for (let i = 0; i < length; i++) buffer[i] = sendCounter++ & 0xff;
  return buffer;
}

const socket = net.connect(Number(port), address);

function nextRound(): void {
  rounds++;
  if (rounds === Number(iterations) + 1) {
    say('done', { wrong, transport: socket.transport, peer: info(socket).peer });
    socket.end();
    return;
  }
  // The first round is rstream's synchronisation of 16 bytes.
  left = rounds === 0 ? 16 : transferBytes;
  socket.write(pattern(left));
}

socket.on('connect', nextRound);
socket.on('data', (chunk) => {
  for (const byte of chunk) wrong += byte === (receiveCounter++ & 0xff) ? 0 : 1;
  left -= chunk.length;
  if (left === 0) nextRound();
});
socket.on('error', (error) => say('error', { message: error.message }));
socket.on('close', () => say('closed'));
