/**
 * Opens connections to an echo server when told, and says how each went.
 *
 *     connect ADDRESS PORT [COUNT]   one after the other; each sends and checks 10,000 bytes
 *     open ADDRESS PORT COUNT        all at once, and leaves them open after the same check
 *     close                          ends those that are open
 */
import { once } from 'node:events';
import net from 'node:net';
import { info, stats } from '../../../lib/index';
import { listen, say } from './said';

const payload = Buffer.alloc(10_000, 'rdma-net');
const open = new Set<net.Socket>();

/** Connects, sends the payload and reads it back. */
async function connect(address: string, port: number): Promise<net.Socket> {
  const socket = net.connect(port, address);
  await once(socket, 'connect');
  socket.write(payload);
  let received = Buffer.alloc(0);
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    received = Buffer.concat([received, chunk as Buffer]);
    if (received.length >= payload.length) break;
  }
  if (!received.equals(payload)) throw new Error('other bytes came back');
  return socket;
}

function describe(socket: net.Socket): Record<string, unknown> {
  const { transport, reason, device } = info(socket);
  return { transport, device, reason: reason?.code, detail: reason?.detail };
}

async function oneByOne(address: string, port: number, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const started = process.hrtime.bigint();
    const socket = await connect(address, port);
    const ms = Number(process.hrtime.bigint() - started) / 1e6;
    const described = describe(socket);
    socket.end();
    await once(socket, 'close');
    say('connected', { ...described, ms });
  }
}

async function allAtOnce(address: string, port: number, count: number): Promise<void> {
  const sockets = await Promise.all(Array.from({ length: count }, () => connect(address, port)));
  for (const socket of sockets) open.add(socket);
  say('opened', { transports: sockets.map((socket) => socket.transport) });
}

async function closeAll(): Promise<void> {
  await Promise.all(
    [...open].map(async (socket) => {
      socket.end();
      await once(socket, 'close');
    }),
  );
  open.clear();
  say('all-closed');
}

async function obey(command: string): Promise<void> {
  const [verb, address = '', port, count = '1'] = command.split(' ');
  if (verb === 'connect') await oneByOne(address, Number(port), Number(count));
  else if (verb === 'open') await allAtOnce(address, Number(port), Number(count));
  else if (verb === 'close') await closeAll();
  else if (verb === 'stats') say('stats', { stats: stats() });
  else throw new Error(`unknown command: ${command}`);
}

listen(
  (command) => {
    obey(command).catch((error: unknown) => {
      const { code, message, cause } = error as NodeJS.ErrnoException & { cause?: object };
      say('failed', { code, message, cause: { ...cause } });
    });
  },
  () => process.stdin.pause(),
);
say('ready');
