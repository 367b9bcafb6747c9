/**
 * Connects to an echo server when told, one connection at a time, and keeps what it got.
 *
 *     open ADDRESS PORT [COUNT]    that many more
 *     fill ADDRESS PORT MAX        until one is on TCP, MAX at most
 *     await ADDRESS PORT MAX       until one is not on TCP, MAX at most; keeps only that one
 *     echo [BYTES]                 all of them at once, each with bytes of its own
 *     close INDEX                  one of them; those behind it move up
 *     forget                       those that have failed
 *     stats
 */
import { once } from 'node:events';
import net from 'node:net';
import { info, stats } from '../../../lib/index';
import { describeError, listen, say } from './said';

const ECHO_BYTES = 10_000;
const sockets: net.Socket[] = [];
/** Grows with every echo, so that no two send the same. */
let echoes = 0;

/** Other bytes at every position for any two seeds close to each other. */
function pattern(seed: number, bytes: number): Buffer {
  const made = Buffer.alloc(bytes);
  for (let i = 0; i + 4 <= bytes; i += 4) made.writeUInt32LE((seed * 0x9e3779b1 + i) >>> 0, i);
  return made;
}

async function echo(socket: net.Socket, bytes: number): Promise<boolean> {
  const sent = pattern(echoes++, bytes);
  socket.write(sent);
  let received = 0;
  try {
    for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
      const part = chunk as Buffer;
      if (!part.equals(sent.subarray(received, received + part.length))) return false;
      if (received === 0) say('flowing');
      received += part.length;
      if (received >= bytes) return true;
    }
  } catch {
    // Said by the listener of 'error'.
  }
  return false;
}

function describe(socket: net.Socket): Record<string, unknown> {
  const { transport, reason } = info(socket);
  return { transport, reason: reason?.code, detail: reason?.detail };
}

async function connect(address: string, port: number): Promise<net.Socket> {
  const socket = net.connect(port, address);
  await once(socket, 'connect');
  socket.on('error', (error) => say('error', describeError(error)));
  return socket;
}

async function close(socket: net.Socket): Promise<void> {
  socket.end();
  socket.resume();
  if (!socket.closed) await once(socket, 'close');
}

async function open(address: string, port: number, count: number): Promise<void> {
  const before = sockets.length;
  for (let i = 0; i < count; i++) sockets.push(await connect(address, port));
  say('opened', { all: sockets.slice(before).map(describe) });
}

async function fill(address: string, port: number, max: number): Promise<void> {
  for (let count = 1; count <= max; count++) {
    const socket = await connect(address, port);
    sockets.push(socket);
    if (socket.transport !== 'tcp') continue;
    say('filled', { count, ...describe(socket) });
    return;
  }
  say('filled', { count: max });
}

async function awaitOther(address: string, port: number, max: number): Promise<void> {
  const reasons = new Set<unknown>();
  for (let attempts = 1; attempts <= max; attempts++) {
    const socket = await connect(address, port);
    if (socket.transport !== 'tcp') {
      sockets.push(socket);
      say('awaited', { attempts, transport: socket.transport, reasons: [...reasons] });
      return;
    }
    reasons.add(info(socket).reason?.code);
    await close(socket);
  }
  say('awaited', { attempts: max, transport: 'tcp', reasons: [...reasons] });
}

async function echoAll(bytes: number): Promise<void> {
  const same = await Promise.all(sockets.map((socket) => echo(socket, bytes)));
  say('echoed', {
    bytes,
    right: same.filter(Boolean).length,
    counters: sockets.map((socket) => info(socket).counters),
  });
}

function isAlive(socket: net.Socket): boolean {
  return !socket.destroyed;
}

async function obey(command: string): Promise<void> {
  const [verb, first = '', port, count = '1'] = command.split(' ');
  if (verb === 'open') await open(first, Number(port), Number(count));
  else if (verb === 'fill') await fill(first, Number(port), Number(count));
  else if (verb === 'await') await awaitOther(first, Number(port), Number(count));
  else if (verb === 'echo') await echoAll(first === '' ? ECHO_BYTES : Number(first));
  else if (verb === 'forget') sockets.splice(0, sockets.length, ...sockets.filter(isAlive));
  else if (verb === 'stats') say('stats', { stats: stats() });
  else if (verb === 'close') {
    const [socket] = sockets.splice(Number(first), 1);
    if (socket !== undefined) await close(socket);
    say('closed');
  } else throw new Error(`unknown command: ${command}`);
}

let last = Promise.resolve();
listen(
  (command) => {
    last = last.then(() => obey(command));
  },
  () => {
    for (const socket of sockets) socket.end();
  },
);
