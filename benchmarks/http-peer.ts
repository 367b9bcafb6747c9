/**
 * One side of the http that `npm run bench -- local` measures: a plain server, or autocannon, under
 * the preload or without. Both live through the whole benchmark.
 *
 *     node http-peer.js server ADDRESS [KEY CERTIFICATE]   says its ports; GET /N answers N bytes
 *     node http-peer.js client
 *
 * Each line of the client's input is a {@link Load} or a {@link Churn} to do, each line of the
 * server's an empty object, which asks for what it has spent so far. Each line of output is a
 * {@link HttpSaying}.
 */
import autocannon from 'autocannon';
import { subscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net, { type AddressInfo, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

/** What autocannon does. */
export interface Load {
  url: string;
  connections: number;
  seconds: number;
  /** Bytes of each body. */
  bytes: number;
}

/** Connections to make one after the other, each ended as soon as it is connected. */
export interface Churn {
  port: number;
  address: string;
  connects: number;
}

/** What a process has spent since it began, and on what its connections run. */
export interface SpentOnHttp {
  cpuSeconds: number;
  transports: Record<string, number>;
}

/** What came of a {@link Load}. */
export interface Loaded {
  seconds: number;
  requests: number;
  latencyP50Ms: number;
  latencyP99Ms: number;
  /** Errors, timeouts, answers that were not 2xx, and those that were too short. */
  failures: number;
}

export type HttpSaying =
  | { event: 'ready'; port: number; securePort: number }
  | { event: 'spent'; spent: SpentOnHttp }
  | { event: 'done'; loaded: Loaded; spent: SpentOnHttp }
  | { event: 'churned'; seconds: number; spent: SpentOnHttp };

/** What the body of an answer with no number in its path is. */
export const HELLO = 'Hello, world!\n';

/** Milliseconds between autocannon's looks at the clock. */
const LOOK_MS = 50;

const transports: Record<string, number> = {};

function say(saying: HttpSaying): void {
  process.stdout.write(`${JSON.stringify(saying)}\n`);
}

function count(socket: Socket): void {
  const transport = socket.transport ?? 'tcp';
  transports[transport] = (transports[transport] ?? 0) + 1;
}

function spent(): SpentOnHttp {
  const { user, system } = process.cpuUsage();
  return { cpuSeconds: (user + system) / 1e6, transports: { ...transports } };
}

/** Listens, and waits until it is known that RDMA or the like can be had, if it is asked for. */
async function listening(server: Server, address: string): Promise<number> {
  const reachable =
    process.env.RDMA_NET === 'off'
      ? once(server, 'listening')
      : new Promise<void>((resolve) => {
          subscribe('rdma-net:listen', (message) => {
            if ((message as { server: Server }).server === server) resolve();
          });
        });
  server.listen(0, address);
  await reachable;
  return (server.address() as AddressInfo).port;
}

async function runServer(address: string, key?: string, certificate?: string): Promise<void> {
  const answer = (request: http.IncomingMessage, response: http.ServerResponse): void => {
    const bytes = Number(request.url?.slice(1));
    response.end(bytes > 0 ? Buffer.alloc(bytes, 'x') : HELLO);
  };
  const plain = http.createServer(answer);
  const servers: (http.Server | https.Server)[] = [plain];
  const port = await listening(plain, address);
  let securePort = 0;
  if (key !== undefined && certificate !== undefined) {
    const files = { key: readFileSync(key), cert: readFileSync(certificate) };
    const secure = https.createServer(files, answer);
    servers.push(secure);
    securePort = await listening(secure, address);
  }
  // What https takes is counted before there is TLS on it.
  for (const server of servers) server.on('connection', count);
  say({ event: 'ready', port, securePort });
  for await (const line of createInterface(process.stdin)) {
    JSON.parse(line);
    say({ event: 'spent', spent: spent() });
  }
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
}

async function loadServer({ url, connections, seconds, bytes }: Load): Promise<Loaded> {
  let [requests, short, started] = [0, 0, 0];
  const result = await new Promise<autocannon.Result>((resolve, reject) => {
    const options = { url, connections, duration: seconds, timeout: 60, sampleInt: LOOK_MS };
    const tracker = autocannon(options, (error: unknown, ended) => {
      if (error instanceof Error) reject(error);
      else resolve(ended);
    });
    started = performance.now();
    tracker.on('response', (_client, _status, responseBytes) => {
      requests++;
      if (responseBytes < bytes) short++;
    });
  });
  return {
    seconds: (performance.now() - started) / 1000,
    requests,
    latencyP50Ms: result.latency.p50,
    latencyP99Ms: result.latency.p99,
    failures: result.errors + result.timeouts + result.non2xx + short,
  };
}

async function churn({ port, address, connects }: Churn): Promise<number> {
  const started = performance.now();
  for (let index = 0; index < connects; index++) {
    const socket = net.connect(port, address);
    socket.on('connect', () => socket.end());
    await once(socket.resume(), 'close');
  }
  return (performance.now() - started) / 1000;
}

async function obey(command: Load | Churn): Promise<HttpSaying> {
  if ('url' in command) {
    return { event: 'done', loaded: await loadServer(command), spent: spent() };
  }
  return { event: 'churned', seconds: await churn(command), spent: spent() };
}

async function runClient(): Promise<void> {
  subscribe('net.client.socket', (message) => {
    const { socket } = message as { socket: Socket };
    socket.once('connect', () => count(socket));
  });
  say({ event: 'ready', port: 0, securePort: 0 });
  for await (const line of createInterface(process.stdin)) {
    say(await obey(JSON.parse(line) as Load | Churn));
  }
}

const [side, address = '', key, certificate] = process.argv.slice(2);
const running = side === 'server' ? runServer(address, key, certificate) : runClient();
running.catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
