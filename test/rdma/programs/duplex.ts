/**
 * Sends a computed stream of `bytes`, reads the peer's with pauses, and says the digests of both.
 * Arguments: `server` or `client`, address, port, bytes.
 */
import { createHash } from 'node:crypto';
import net from 'node:net';
import { info } from '../../../lib/index';
import { listen, say, sayWhenListening } from './said';

const [role, address = '', port, bytes] = process.argv.slice(2);
const total = Number(bytes);
const chunkBytes = 256 * 1024;

/** The chunk at a position: cheap to make, and different at every position and for each role. */
function chunkAt(position: number): Buffer {
  const chunk = Buffer.alloc(Math.min(chunkBytes, total - position), role);
  chunk.writeDoubleLE(position, 0);
  return chunk;
}

function send(socket: net.Socket): void {
  const digest = createHash('sha256');
  let position = 0;
  const more = (): void => {
    while (position < total) {
      const chunk = chunkAt(position);
      digest.update(chunk);
      position += chunk.length;
      if (!socket.write(chunk)) {
        socket.once('drain', more);
        return;
      }
    }
    socket.end();
    say('sent', { bytes: position, digest: digest.digest('hex') });
  };
  more();
}

/** Reads, and stops for a turn of the loop and a little more at every 8 MiB. */
function receive(socket: net.Socket): void {
  const digest = createHash('sha256');
  let received = 0;
  let pauses = 0;
  socket.on('data', (chunk: Buffer) => {
    digest.update(chunk);
    received += chunk.length;
    if (Math.floor(received / (8 << 20)) <= pauses) return;
    pauses++;
    socket.pause();
    setTimeout(() => socket.resume(), 20);
  });
  socket.on('end', () =>
    say('received', { bytes: received, pauses, digest: digest.digest('hex') }),
  );
}

function exchange(socket: net.Socket): void {
  say('connected', { transport: socket.transport });
  receive(socket);
  send(socket);
  socket.on('error', (error) => say('error', { message: error.message }));
  socket.on('close', () => say('closed', { counters: info(socket).counters }));
}

if (role === 'server') {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    exchange(socket);
    server.close();
  });
  sayWhenListening(server);
  server.listen(0, address);
} else {
  const socket = net.connect({ host: address, port: Number(port), allowHalfOpen: true }, () =>
    exchange(socket),
  );
}

listen(
  () => undefined,
  () => process.stdin.pause(),
);
