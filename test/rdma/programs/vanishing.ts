/**
 * Three connections to a host that vanishes: one that is watched by setKeepAlive, one that writes,
 * and one on which nothing happens. Says what each hears of it, and after how long.
 *
 *     vanishing ADDRESS PORT    between two guests of the lab: signals `connected`, then waits for
 *                               the other one to have signalled `down`
 */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { promisify } from 'node:util';
import { say } from './said';

const [address = '', port = '0'] = process.argv.slice(2);
const KEEPALIVE_MS = 1000;
const signal = promisify(execFile);

async function connect(): Promise<net.Socket> {
  const socket = net.connect(Number(port), address);
  await once(socket, 'connect');
  return socket;
}

/** Resolves when the connection has ended. */
async function attend(name: string, socket: net.Socket): Promise<void> {
  const startMs = performance.now();
  socket.on('error', (error: NodeJS.ErrnoException) => {
    const { code, syscall, cause } = error;
    const ms = Math.round(performance.now() - startMs);
    say('error', { name, code, syscall, cause: (cause as NodeJS.ErrnoException).code, ms });
  });
  await new Promise((resolve) => socket.on('close', resolve));
}

void (async () => {
  const [watched, writing, idle] = [await connect(), await connect(), await connect()];
  watched.setKeepAlive(true, KEEPALIVE_MS);
  say('connected', { transports: [watched, writing, idle].map((socket) => socket.transport) });
  await signal('lab-signal', ['connected']);
  await signal('lab-wait', ['down']);
  const ends = [attend('watched', watched), attend('writing', writing)];
  writing.write('is anybody there?');
  await Promise.all(ends);
  say('idle', { destroyed: idle.destroyed });
  idle.resetAndDestroy();
})();
