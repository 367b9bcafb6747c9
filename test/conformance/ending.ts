/**
 * A thread that has one thing open, and ends if that does not hold it. What it tells its parent:
 * `port` of its server, `held` if it is still there after a while.
 */
import net, { type AddressInfo } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import type { StagePlace } from './stage';
import { reachable } from './reachable';

/** How long being held is waited for. The timer itself does not hold. */
const HELD_MS = 50;

export interface EndingData {
  what: string;
  place: StagePlace;
  /** Of a server of the parent. */
  port: number;
}

const { what, place, port } = workerData as EndingData;

function say(said: string, value?: number): void {
  parentPort?.postMessage({ said, value });
}

/** Whatever is open: tells if it holds the thread, and then lets go. */
function watch(open: net.Socket | net.Server): void {
  setTimeout(() => {
    say('held');
    open.unref();
    if (open instanceof net.Socket) open.destroy();
    else open.close();
  }, HELD_MS).unref();
}

function connect(onConnected: (client: net.Socket) => void): void {
  const client = net.connect(port, place.address, () => onConnected(client));
}

function listen(onListening: (server: net.Server) => void): void {
  const server = net.createServer();
  const reached = reachable(server, place.transport);
  server.listen(0, place.address, () => {
    void reached.then(() => onListening(server));
  });
}

// What is unreferenced before it is there needs something else that holds the thread until then.
function holdUntil(emitter: net.Socket | net.Server, event: string): void {
  const timer = setTimeout(() => undefined, 10_000);
  emitter.on(event, () => clearTimeout(timer));
}

const things: Record<string, () => void> = {
  'a connected socket': () => connect(watch),
  'an unreferenced socket': () => connect((client) => watch(client.unref())),
  'a socket unreferenced while connecting': () => {
    const client = net.connect(port, place.address, () => watch(client)).unref();
    holdUntil(client, 'connect');
  },
  'a socket referenced again': () => connect((client) => watch(client.unref().ref())),
  'a paused socket': () =>
    connect((client) => {
      client.pause();
      // What is under way when it is paused ends first.
      setImmediate(() => watch(client));
    }),
  'an unreferenced socket whose peer does not read': () =>
    connect((client) => {
      client.unref().write(Buffer.alloc(20_000_000));
      watch(client);
    }),
  'an unreferenced socket that connects': () => {
    net.connect(port, place.address, () => say('connected')).unref();
  },
  'a listening server': () => listen(watch),
  'an unreferenced server': () => listen((server) => watch(server.unref())),
  'a server referenced again': () => listen((server) => watch(server.unref().ref())),
  'a socket of an unreferenced server': () =>
    listen((server) => {
      holdUntil(server.unref(), 'connection');
      server.on('connection', (socket) => watch(socket.resume()));
      say('port', (server.address() as AddressInfo).port);
    }),
};

things[what]?.();
