/**
 * Servers for peers that break the rules, each on a port of its own of an address (the argument):
 *
 *     echo     sends everything back
 *     silent   reads nothing of a connection until it has failed
 *     keep     reads the last connection when told `read`, and keeps all of it
 *
 * Says what becomes of each connection, by its number, and when told `recheck`, whether what was
 * kept is still as it came.
 */
import { createHash } from 'node:crypto';
import { subscribe } from 'node:diagnostics_channel';
import net from 'node:net';
import { info } from '../../../lib/index';
import { listen, say } from './said';

const sockets = new Map<net.Socket, number>();
let connections = 0;

/** What the server `keep` has kept. */
let kept: { socket: net.Socket; chunks: { bytes: Buffer; digest: string }[] } | undefined;

function digestOf(bytes: Buffer): string {
  return createHash('sha1').update(bytes).digest('hex');
}

function recheck(): void {
  const { socket, chunks = [] } = kept ?? {};
  const changed = chunks.filter(({ bytes, digest }) => digestOf(bytes) !== digest).length;
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.bytes.length, 0);
  const counters = socket === undefined ? undefined : info(socket).counters;
  say('kept', { bytes, chunks: chunks.length, changed, counters });
}

/** What of an error can be compared. */
function describe(error: unknown): Record<string, unknown> {
  const { code, detail, detailKind } = error as Record<string, unknown>;
  return { code, detail, detailKind };
}

function watch(socket: net.Socket, server: string): number {
  const number = connections++;
  sockets.set(socket, number);
  say('connection', { number, server, transport: socket.transport, peer: info(socket).peer });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    say(`error-${number}`, { code: error.code, cause: describe(error.cause ?? {}) });
  });
  socket.on('close', () => {
    sockets.delete(socket);
    say(`closed-${number}`, { bytes: socket.bytesRead });
  });
  return number;
}

const servers = {
  echo: net.createServer((socket) => {
    watch(socket, 'echo');
    socket.on('data', (chunk) => socket.write(chunk));
  }),
  silent: net.createServer({ allowHalfOpen: true }, (socket) => {
    watch(socket, 'silent');
    socket.pause();
  }),
  keep: net.createServer((socket) => {
    const number = watch(socket, 'keep');
    const chunks: { bytes: Buffer; digest: string }[] = [];
    kept = { socket, chunks };
    socket.pause();
    socket.on('data', (bytes) => {
      chunks.push({ bytes, digest: digestOf(bytes) });
      say(`kept-${number}-${chunks.reduce((sum, chunk) => sum + chunk.bytes.length, 0)}`);
    });
  }),
};

subscribe('rdma-net:failure', (message) => {
  const { socket, error } = message as { socket?: net.Socket; error: Error };
  const number = socket === undefined ? undefined : sockets.get(socket);
  if (socket === undefined || number === undefined) return;
  say(`failure-${number}`, describe(error));
  // After the end of the stream nothing is read, and only a write meets the failure.
  if (socket.readableEnded) socket.end('late');
  else socket.once('end', () => socket.end('late')).resume();
});
subscribe('rdma-net:listen', (message) => {
  const { server, port } = message as { server: net.Server; port: number };
  const name = Object.entries(servers).find(([, each]) => each === server)?.[0];
  say(`listening-${name ?? ''}`, { port });
});
for (const server of Object.values(servers)) server.listen(0, process.argv[2]);

listen(
  (command) => {
    if (command === 'recheck') recheck();
    if (command === 'read') kept?.socket.resume();
  },
  () => {
    for (const server of Object.values(servers)) server.close();
    for (const socket of sockets.keys()) socket.destroy();
  },
);
