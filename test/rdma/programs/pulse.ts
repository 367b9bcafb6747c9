/**
 * Keeps one connection to an echo server. When told `X` it makes four round trips on it, and says
 * `beat-X` then. Arguments: address, port.
 */
import { once } from 'node:events';
import net from 'node:net';
import { listen, say } from './said';

const [address = '', port] = process.argv.slice(2);
const ROUND_TRIPS = 4;
const BYTES = 1000;

let beats = 0;
let last = Promise.resolve();
const socket = net.connect(Number(port), address, () => {
  say('connected', { transport: socket.transport });
});

async function roundTrip(fill: number): Promise<void> {
  const sent = Buffer.alloc(BYTES, fill);
  socket.write(sent);
  let received = Buffer.alloc(0);
  while (received.length < BYTES) {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    received = Buffer.concat([received, chunk]);
  }
  if (!received.equals(sent)) throw new Error('other bytes came back');
}

async function beat(name: string): Promise<void> {
  for (let i = 0; i < ROUND_TRIPS; i++) await roundTrip(beats * ROUND_TRIPS + i);
  beats++;
  say(`beat-${name}`);
}

socket.on('error', (error) => say('error', { message: error.message }));
socket.on('close', () => say('closed'));
listen(
  (name) => {
    last = last.then(() => beat(name));
  },
  () => socket.end(),
);
