/**
 * One side of many connections: `crowd server ADDRESS` sends everything back, `crowd client` opens
 * connections when told. Both know `measure`, which says what memory the process has; node needs
 * --expose-gc.
 *
 *     open ADDRESS PORT COUNT    that many more; each sends three messages and reads them back
 *     cycle ADDRESS PORT COUNT   that many, a few at a time, each closed when its message is back
 *     empty                      says so when there is no connection
 *     measure
 *     close                      all connections, and the listener
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { stats } from '../../../lib/index';
import { listen, say, sayWhenListening } from './said';

const [role, ownAddress] = process.argv.slice(2);
/** How many connect at the same time. */
const WAVE = 100;
const MESSAGES = 3;
/** How many connections are there at the same time while they come and go. */
const CYCLING = 8;

const sockets = new Set<net.Socket>();
let server: net.Server | undefined;
let errors = 0;
/** Called when the last connection has closed. */
const waiting: (() => void)[] = [];

function add(socket: net.Socket): void {
  sockets.add(socket);
  socket.on('error', () => errors++);
  socket.on('close', () => {
    sockets.delete(socket);
    if (sockets.size === 0) for (const resolve of waiting.splice(0)) resolve();
  });
}

/** Sends one message after the other, each when the last one is back; then only waits. */
async function echo(socket: net.Socket, message: Buffer, messages = MESSAGES): Promise<void> {
  for (let i = 0; i < messages; i++) {
    socket.write(message);
    for (let received = 0; received < message.length;) {
      const [chunk] = (await once(socket, 'data')) as [Buffer];
      const expected = message.subarray(received, received + chunk.length);
      if (!chunk.equals(expected)) throw new Error('other bytes came back');
      received += chunk.length;
    }
  }
}

async function open(address: string, port: number, count: number): Promise<void> {
  const started = performance.now();
  const transports: Record<string, number> = {};
  for (let left = count; left > 0; left -= WAVE) {
    const wave = Array.from({ length: Math.min(left, WAVE) }, async () => {
      const socket = net.connect(port, address);
      add(socket);
      await once(socket, 'connect');
      const { transport = 'none' } = socket;
      transports[transport] = (transports[transport] ?? 0) + 1;
      await echo(socket, Buffer.from(`from port ${socket.localPort ?? 0}, a hundred bytes or so`));
    });
    await Promise.all(wave);
  }
  const seconds = (performance.now() - started) / 1000;
  say('opened', { connections: sockets.size, transports, seconds, errors });
}

async function cycle(address: string, port: number, count: number): Promise<void> {
  const transports: Record<string, number> = {};
  let left = count;
  const comeAndGo = async (): Promise<void> => {
    while (left-- > 0) {
      const socket = net.connect(port, address);
      add(socket);
      await once(socket, 'connect');
      const { transport = 'none' } = socket;
      transports[transport] = (transports[transport] ?? 0) + 1;
      await echo(socket, Buffer.from(`number ${left}`), 1);
      socket.end();
      await once(socket, 'close');
    }
  };
  await Promise.all(Array.from({ length: CYCLING }, comeAndGo));
  say('cycled', { transports, errors });
}

async function empty(): Promise<void> {
  if (sockets.size > 0) await new Promise<void>((resolve) => waiting.push(resolve));
  say('emptied');
}

/** Resident bytes of the mappings of this process whose names match. */
function residentBytes(name: RegExp): number {
  // The lines of each mapping come after one that begins with its addresses.
  const mappings = readFileSync('/proc/self/smaps', 'utf8').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  return mappings
    .filter((mapping) => name.test(mapping.split('\n', 1)[0] ?? ''))
    .reduce((sum, mapping) => sum + Number(/^Rss: +(\d+) kB$/m.exec(mapping)?.[1]) * 1024, 0);
}

async function measure(): Promise<void> {
  // What a collection finds dead may hold something else, which the next one finds.
  for (let i = 0; i < 4; i++) {
    gc?.();
    await setImmediate();
  }
  const { rss, heapTotal, heapUsed } = process.memoryUsage();
  const { pinnedBytes, connections: counted } = stats();
  say('measured', {
    connections: sockets.size,
    counted,
    rss,
    heapTotal,
    heapUsed,
    pinnedBytes,
    allocated: residentBytes(/ \[heap\]$/),
    device: residentBytes(/ \/dev\/infiniband\//),
  });
}

async function close(): Promise<void> {
  const closed = [...sockets].map(async (socket) => {
    socket.end();
    await once(socket, 'close');
  });
  if (server !== undefined) closed.push(once(server.close(), 'close').then(() => undefined));
  await Promise.all(closed);
  say('closed', { errors });
}

async function obey(command: string): Promise<void> {
  const [verb, address = '', port, count] = command.split(' ');
  if (verb === 'open') await open(address, Number(port), Number(count));
  else if (verb === 'cycle') await cycle(address, Number(port), Number(count));
  else if (verb === 'empty') await empty();
  else if (verb === 'measure') await measure();
  else if (verb === 'close') await close();
  else throw new Error(`unknown command: ${command}`);
}

if (role === 'server') {
  server = net.createServer((socket) => {
    add(socket);
    socket.pipe(socket);
  });
  sayWhenListening(server);
  server.listen({ host: ownAddress, port: 0, backlog: 2 * WAVE });
}
listen(
  (command) => void obey(command),
  () => process.stdin.pause(),
);
