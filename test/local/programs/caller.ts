/**
 * Servers and calls to them, to compare what is seen over TCP and over something else.
 *
 *     listen OPTIONS           those of server.listen, as JSON; says `listening`, or `failed`
 *     call ADDRESS PORT        says `called`: what both sides saw, or why it failed
 *     close                    the last server; says `closed`
 *
 * With the argument `as UID` it becomes that user before it does anything.
 */
import { once } from 'node:events';
import net from 'node:net';
import { info } from '../../../lib/index';
import { listen, say, sayWhenListening } from '../../rdma/programs/said';

const [as, uid] = process.argv.slice(2);

let server: net.Server | undefined;

/** What a socket knows; the ports that are free to choose are told apart by the other side. */
function view(socket: net.Socket): Record<string, unknown> {
  const { localAddress, localPort, localFamily, remoteAddress, remotePort, remoteFamily } = socket;
  return { localAddress, localPort, localFamily, remoteAddress, remotePort, remoteFamily };
}

function start(options: net.ListenOptions): void {
  const started = net.createServer({ allowHalfOpen: true }, (socket) => {
    say('accepted', { transport: socket.transport });
    // Both ends may be asked what they see only while they are connected.
    socket.end(JSON.stringify({ ...view(socket), transport: socket.transport }));
    socket.resume();
  });
  server = started;
  started.on('error', ({ code }: NodeJS.ErrnoException) => say('failed', { code }));
  sayWhenListening(started);
  started.listen(options);
}

async function call(host: string, port: number): Promise<void> {
  const socket = net.connect({ host, port });
  try {
    await once(socket, 'connect');
    const [client, { transport, reason }] = [view(socket), info(socket)];
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    const server = JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>;
    say('called', { host, transport, reason: reason?.code, client, server });
  } catch (error) {
    say('called', { host, code: (error as NodeJS.ErrnoException).code });
  }
}

function obey(command: string): void {
  const [verb, host = '', port] = command.split(' ');
  if (verb === 'listen') start(JSON.parse(command.slice('listen '.length)) as net.ListenOptions);
  else if (verb === 'call') void call(host, Number(port));
  else if (verb === 'close') server?.close(() => say('closed'));
  else throw new Error(`unknown command: ${command}`);
}

/** What is in the checkout may not be readable for that user: a first connection has it all loaded. */
async function become(user: number): Promise<void> {
  const first = net.createServer((socket) => socket.end());
  first.listen(0, '127.0.0.1');
  await once(first, 'listening');
  const socket = net.connect((first.address() as net.AddressInfo).port, '127.0.0.1');
  socket.resume();
  await once(socket, 'close');
  first.close();
  await once(first, 'close');
  process.setgroups?.([]);
  process.setgid?.(user);
  process.setuid?.(user);
}

async function main(): Promise<void> {
  if (as === 'as') await become(Number(uid));
  listen(obey, () => server?.close());
  say('ready');
}

void main();
