/**
 * One of many processes: listens, and when told the ports of all, its own at the place of its number,
 * connects to all others, sends each a message of its own and reads it back. Says `done` when it has
 * heard from all others, too. Arguments: address, number.
 */
import { once } from 'node:events';
import net from 'node:net';
import { listen, say, sayWhenListening } from '../../rdma/programs/said';

const [address = '', number] = process.argv.slice(2);
const own = Number(number);
const MESSAGE_BYTES = 100_000;

const transports: Record<string, number> = {};

function note(socket: net.Socket): void {
  const { transport = 'none' } = socket;
  transports[transport] = (transports[transport] ?? 0) + 1;
  socket.on('error', (error) => say('error', { message: error.message }));
}

/** Connections that came and have gone: others may be told the ports before this process is. */
let answered = 0;
let onAnswered: () => void = () => undefined;

const server = net.createServer({ allowHalfOpen: true }, (socket) => {
  note(socket);
  socket.pipe(socket);
  socket.on('close', () => {
    answered++;
    onAnswered();
  });
});

/** Resolves when so many connections have come and gone. */
function served(count: number): Promise<void> {
  return new Promise((resolve) => {
    onAnswered = () => {
      if (answered === count) resolve();
    };
    onAnswered();
  });
}

/** Whether the message came back as it was. */
async function talkTo(port: number, peer: number): Promise<boolean> {
  const message = Buffer.alloc(MESSAGE_BYTES, `from ${own} to ${peer}, `);
  const socket = net.connect(port, address);
  await once(socket, 'connect');
  note(socket);
  socket.end(message);
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).equals(message);
}

async function talkToAll(ports: number[]): Promise<void> {
  const results = await Promise.all(
    ports.map(async (port, peer) => peer !== own && talkTo(port, peer)),
  );
  await served(ports.length - 1);
  const right = results.filter((result) => result).length;
  say('done', { right, answered, transports });
}

sayWhenListening(server);
server.listen({ port: 0, host: address, backlog: 511 });
listen(
  (command) => void talkToAll(command.split(' ').map(Number)),
  () => server.close(),
);
