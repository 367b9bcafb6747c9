/**
 * Connections on which nobody writes. Says `sent` whenever a work request was posted for one, and
 * `completed` whenever the device has completed one, or received a message: when nothing else is
 * sent, these are keepalives that the peer's device has answered.
 *
 *     idle server ADDRESS [PORT]
 *     idle client ADDRESS PORT [MS]    MS: setKeepAlive from the start
 *
 *     keepalive MS    setKeepAlive on every connection; 0 turns it off
 *     counters        says the counters of every connection
 *     release         from now on everything received, also before, is sent back
 */
import net from 'node:net';
import { info, stats } from '../../../lib/index';
import { listen, say, sayWhenListening } from './said';

const [role, address = '', port = '0', interval = '0'] = process.argv.slice(2);
/** How often counts are looked at: no event tells of a keepalive. */
const LOOK_MS = 50;

const sockets = new Set<net.Socket>();
const held = new Map<net.Socket, Buffer[]>();
let released = false;

/** The port by which the other side knows the connection too. */
function name(socket: net.Socket): number | undefined {
  return role === 'server' ? socket.remotePort : socket.localPort;
}

function keepAlive(socket: net.Socket, intervalMs: number): void {
  if (intervalMs > 0) socket.setKeepAlive(true, intervalMs);
  else socket.setKeepAlive(false);
}

/** Calls `changed` whenever a count is another than before. */
function watch(count: () => number, changed: (now: number) => void): NodeJS.Timeout {
  let before = count();
  return setInterval(() => {
    const now = count();
    if (now === before) return;
    before = now;
    changed(now);
  }, LOOK_MS);
}

function attend(socket: net.Socket): void {
  const { transport } = socket;
  const { peer } = info(socket);
  const watching = watch(
    () => info(socket).counters?.workRequests ?? 0,
    (workRequests) => say('sent', { workRequests }),
  );
  sockets.add(socket);
  socket.on('data', (chunk: Buffer) => {
    if (released) socket.write(chunk);
    else held.set(socket, [...(held.get(socket) ?? []), chunk]);
  });
  socket.on('error', (error: NodeJS.ErrnoException) =>
    say('error', { code: error.code, bytesWritten: socket.bytesWritten }),
  );
  socket.on('close', () => {
    clearInterval(watching);
    sockets.delete(socket);
    say('closed', { counters: info(socket).counters });
  });
  keepAlive(socket, Number(interval));
  say('connected', { transport, peer, port: name(socket) });
}

function release(): void {
  released = true;
  for (const [socket, chunks] of held) for (const chunk of chunks) socket.write(chunk);
  held.clear();
}

function obey(command: string): void {
  const [verb, argument] = command.split(' ');
  if (verb === 'keepalive') {
    for (const socket of sockets) keepAlive(socket, Number(argument));
    say('set');
  } else if (verb === 'counters') {
    const all = [...sockets].map((socket) => ({ port: name(socket), ...info(socket).counters }));
    say('counters', { all });
  } else if (verb === 'release') release();
  else throw new Error(`unknown command: ${command}`);
}

watch(
  () => stats().completions,
  (completions) => say('completed', { completions }),
).unref();

let server: net.Server | undefined;
if (role === 'server') {
  server = net.createServer(attend);
  sayWhenListening(server);
  server.listen(Number(port), address);
} else {
  const socket = net.connect(Number(port), address, () => attend(socket));
}

listen(obey, () => {
  server?.close();
  for (const socket of sockets) socket.destroy();
});
