/** What a scenario plays on: a place, parties that are watched, and an end that leaves nothing. */
import { once } from 'node:events';
import net, { type AddressInfo, type Server, type Socket } from 'node:net';
import type { Place } from '../rdma/place';
import { reachable } from './reachable';
import { Transcript, type Lane } from './transcript';

/** Options that the oldest supported Node, and so its types, do not know. */
export type Options = Record<string, unknown>;

/** Everything that a socket emits and whose order tells something. */
export const SOCKET_EVENTS = [
  ...['lookup', 'connectionAttempt', 'connectionAttemptFailed', 'connectionAttemptTimeout'],
  ...['connect', 'ready', 'data', 'end', 'timeout', 'drain', 'pause', 'resume'],
  ...['prefinish', 'finish', 'error', 'close'],
];
export const SERVER_EVENTS = ['listening', 'connection', 'drop', 'error', 'close'];

/** Of a place, what scenarios need. */
export type StagePlace = Pick<Place, 'transport' | 'address' | 'wildcard'>;

/** A connection, seen from both sides. */
export interface Pair {
  client: Socket;
  accepted: Socket;
  server: Server;
  port: number;
}

// `socket.closed` is true before 'close' is emitted.
const closedSockets = new WeakSet<Socket>();

function watchClose(socket: Socket): void {
  socket.on('close', () => closedSockets.add(socket));
  socket.on('connectionAttempt', () => closedSockets.delete(socket));
}

/** Resolves when a socket or server of a stage has closed; also when it has done so already. */
export async function closed(...all: (Socket | Server)[]): Promise<void> {
  await Promise.all(
    all.map((each) => {
      const isClosed = each instanceof net.Socket ? closedSockets.has(each) : !each.listening;
      // Not `once` of node:events, which takes an error for its own.
      return isClosed ? Promise.resolve() : new Promise((resolve) => each.once('close', resolve));
    }),
  );
}

/** Resolves with the arguments of the next such event, whatever errors come before it. */
export function next(emitter: Socket | Server, event: string): Promise<unknown[]> {
  return new Promise((resolve) => {
    emitter.once(event, (...values: unknown[]) => {
      resolve(values);
    });
  });
}

/** Resolves when everything that can happen now without the network has happened. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** For one run of one scenario. */
export class Stage {
  readonly place: StagePlace;
  readonly transcript = new Transcript();
  readonly #sockets = new Set<Socket>();
  readonly #servers = new Set<Server>();
  readonly #transports = new Set<unknown>();
  #acceptedCount = 0;

  constructor(place: StagePlace) {
    this.place = place;
  }

  get address(): string {
    return this.place.address;
  }

  /** How many connections servers have got. */
  get acceptedCount(): number {
    return this.#acceptedCount;
  }

  /** What the sockets that were connected ran on; with plain net, undefined. */
  get transports(): unknown[] {
    return [...this.#transports];
  }

  lane(name: string): Lane {
    return this.transcript.lane(name);
  }

  /** Takes care of a socket: at the end it is destroyed, if it is still there. */
  track<Kind extends Socket>(socket: Kind): Kind {
    this.#sockets.add(socket);
    watchClose(socket);
    socket.once('connect', () => {
      this.#transports.add(socket.transport);
      this.transcript.names.add(socket.localPort, 'client port');
    });
    return socket;
  }

  /** A server, not listening yet. */
  createServer(options: Options = {}): Server {
    return this.trackServer(net.createServer(options));
  }

  trackServer<Kind extends Server>(server: Kind): Kind {
    this.#servers.add(server);
    server.on('connection', (socket) => {
      this.#acceptedCount++;
      this.#sockets.add(socket);
      watchClose(socket);
      this.#transports.add(socket.transport);
      this.transcript.names.add(socket.remotePort, 'client port');
    });
    return server;
  }

  /** Listens; resolves with the port once the server can be reached by what is compared. */
  async listen(server: Server, options: Options = {}): Promise<number> {
    const reached = reachable(server, this.place.transport);
    server.listen({ port: 0, host: this.address, ...options });
    await once(server, 'listening');
    await reached;
    const { port } = server.address() as AddressInfo;
    this.transcript.names.add(port, 'server port');
    return port;
  }

  /** A client that connects to a server of the scenario. */
  connect(port: number, options: Options = {}): Socket {
    return this.track(net.connect({ port, host: this.address, ...options }));
  }

  /** A server with one connection, and that. */
  async pair(clientOptions: Options = {}, serverOptions: Options = {}): Promise<Pair> {
    const server = this.createServer(serverOptions);
    const port = await this.listen(server);
    const accepting = next(server, 'connection');
    const client = this.connect(port, clientOptions);
    const [[accepted]] = await Promise.all([accepting, once(client, 'connect')]);
    return { client, accepted: accepted as Socket, server, port };
  }

  /** Resolves when all sockets that there have been are closed. */
  async allClosed(): Promise<void> {
    await closed(...this.#sockets);
  }

  /** Ends everything that the scenario left. */
  async clear(): Promise<void> {
    for (const socket of this.#sockets) socket.on('error', () => undefined).destroy();
    const servers = [...this.#servers].filter(({ listening }) => listening);
    for (const server of servers) server.close();
    await closed(...this.#sockets, ...servers);
  }
}
