/**
 * A bulk stream and small connections to one server, which counts what each of them gets.
 *
 *     fairness server ADDRESS BYTES     until it has got BYTES of the bulk stream, from its first
 *     fairness bulk ADDRESS PORT        writes as fast as it can, when told `go`
 *     fairness small ADDRESS PORT COUNT keeps COUNT connections busy, one small message at a time
 */
import net from 'node:net';
import { listen, say, sayWhenListening } from './said';

const [role, address = '', third, count] = process.argv.slice(2);
const WRITE_BYTES = 1 << 20;
const SMALL_BYTES = 64;
/** The small connections say that they have begun after so many round trips each. */
const WARM_UP = 3;
const BULK = 'bulk';
const SMALL = 'small';

const sockets = new Set<net.Socket>();

function add(socket: net.Socket): void {
  sockets.add(socket);
  socket.on('error', (error) => say('error', { message: error.message }));
  socket.on('close', () => sockets.delete(socket));
}

/** Takes the bulk stream, and says how many messages of each small connection it answered meanwhile. */
function serve(): net.Server {
  const total = Number(third);
  const rounds = new Map<net.Socket, number>();
  let received = 0;
  const takeBulk = (bytes: number): void => {
    if (received === 0) for (const socket of rounds.keys()) rounds.set(socket, 0);
    const complete = received >= total;
    received += bytes;
    if (!complete && received >= total) say('streamed', { rounds: [...rounds.values()] });
  };
  const answer = (socket: net.Socket): void => {
    let pending = 0;
    rounds.set(socket, 0);
    socket.on('data', (chunk: Buffer) => {
      pending += chunk.length;
      socket.write(chunk);
      if (pending < SMALL_BYTES) return;
      pending -= SMALL_BYTES;
      rounds.set(socket, (rounds.get(socket) ?? 0) + 1);
    });
  };
  return net.createServer((socket) => {
    add(socket);
    say('connection', { transport: socket.transport });
    socket.once('data', (kind: Buffer) => {
      if (kind.toString() === SMALL) answer(socket);
      else socket.on('data', (chunk: Buffer) => takeBulk(chunk.length));
      socket.write(kind);
    });
  });
}

/** Introduces itself, and calls `ready` when the server has understood. */
function introduce(kind: string, ready: (socket: net.Socket) => void): void {
  const socket = net.connect(Number(third), address, () => {
    add(socket);
    socket.write(kind);
    socket.once('data', () => ready(socket));
  });
}

function stream(socket: net.Socket): void {
  const buffers = [Buffer.alloc(WRITE_BYTES, 1), Buffer.alloc(WRITE_BYTES, 2)];
  const next = (buffer: Buffer): void => {
    socket.write(buffer, (error) => {
      if (!error) next(buffer);
    });
  };
  for (const buffer of buffers) next(buffer);
}

function pingPong(socket: net.Socket, begun: () => void): void {
  const message = Buffer.alloc(SMALL_BYTES, 3);
  let received = 0;
  let rounds = 0;
  socket.on('data', (chunk: Buffer) => {
    received += chunk.length;
    if (received < SMALL_BYTES) return;
    received -= SMALL_BYTES;
    if (++rounds === WARM_UP) begun();
    socket.write(message);
  });
  socket.write(message);
}

function end(): void {
  server?.close();
  for (const socket of sockets) socket.destroy();
}

let server: net.Server | undefined;
let bulk: net.Socket | undefined;
if (role === 'server') {
  server = serve();
  sayWhenListening(server);
  server.listen(0, address);
} else if (role === 'bulk') {
  introduce(BULK, (socket) => {
    bulk = socket;
    say('ready');
  });
} else {
  let begun = 0;
  for (let i = 0; i < Number(count); i++) {
    introduce(SMALL, (socket) => {
      pingPong(socket, () => {
        if (++begun === Number(count)) say('begun');
      });
    });
  }
}
listen(() => {
  if (bulk !== undefined) stream(bulk);
}, end);
