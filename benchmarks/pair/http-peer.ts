/**
 * One side of the http that `npm run bench` and `npm run bench -- local` measure: plain servers, or
 * what loads them, under the preload or without. Both live through the whole benchmark.
 *
 *     node http-peer.js server ADDRESS [KEY CERTIFICATE]   says its ports; GET /N answers N bytes
 *     node http-peer.js client
 *
 * Each line of the client's input is a {@link Load} or a {@link Churn} to do, or, as each line of
 * the server's, an empty object, which asks for what it has spent so far. Each line of output is a
 * {@link HttpSaying}.
 */
import { subscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { churn, type Churn, type Churned } from './churn';
import { loadServer, type Load, type Loaded } from './load';
import type { Protocol } from './workloads';

/** What a process has spent since it began, and on what its connections run. */
export interface SpentOnHttp {
  cpuSeconds: number;
  transports: Record<string, number>;
}

/** 0 where there is no server. */
export type Ports = Record<Protocol, number>;

export type HttpSaying =
  | { event: 'ready'; ports: Ports }
  | { event: 'spent'; spent: SpentOnHttp }
  | { event: 'done'; loaded: Loaded; spent: SpentOnHttp }
  | { event: 'churned'; churned: Churned; spent: SpentOnHttp };

/** What the body of an answer with no number in its path is. */
export const HELLO = 'Hello, world!\n';

/** A thousand connections are made at once; TCP takes seconds to ask again for what was dropped. */
const BACKLOG = 4096;

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
  server.listen(0, address, BACKLOG);
  await reachable;
  return (server.address() as AddressInfo).port;
}

const bodies = new Map<number, Buffer>();

/** One for each size, as a server has that serves files from memory. */
function bodyOf(bytes: number): Buffer {
  let body = bodies.get(bytes);
  if (body === undefined) {
    body = Buffer.alloc(bytes, 'x');
    bodies.set(bytes, body);
  }
  return body;
}

/**
 * With large bodies for a thousand connections, a client may read an answer seconds after the server
 * has sent it; a connection that is idle so long would be ended by the server while the next request
 * is on its way.
 */
const KEEP_ALIVE_FOR_EVER_MS = 0;

async function runServer(address: string, key?: string, certificate?: string): Promise<void> {
  const answer = (
    request: http.IncomingMessage | http2.Http2ServerRequest,
    response: http.ServerResponse | http2.Http2ServerResponse,
  ): void => {
    const bytes = Number(request.url?.slice(1));
    response.end(bytes > 0 ? bodyOf(bytes) : HELLO);
  };
  const plain = http.createServer(answer);
  plain.keepAliveTimeout = KEEP_ALIVE_FOR_EVER_MS;
  const plain2 = http2.createServer(answer);
  const servers: Server[] = [plain, plain2];
  const ports: Ports = {
    http: await listening(plain, address),
    http2: await listening(plain2, address),
    https: 0,
  };
  if (key !== undefined && certificate !== undefined) {
    const files = { key: readFileSync(key), cert: readFileSync(certificate) };
    const secure = https.createServer(files, answer);
    secure.keepAliveTimeout = KEEP_ALIVE_FOR_EVER_MS;
    servers.push(secure);
    ports.https = await listening(secure, address);
  }
  // What https takes is counted before there is TLS on it.
  for (const server of servers) server.on('connection', count);
  say({ event: 'ready', ports });
  for await (const line of createInterface(process.stdin)) {
    JSON.parse(line);
    say({ event: 'spent', spent: spent() });
  }
  for (const server of servers) {
    server.close();
    if ('closeAllConnections' in server) (server as http.Server).closeAllConnections();
  }
}

function isLoad(command: object): command is Load {
  return 'url' in command;
}

function isChurn(command: object): command is Churn {
  return 'atOnce' in command;
}

/** A command that only asks for what was spent. */
type Ask = Record<string, never>;

async function obey(command: Load | Churn | Ask): Promise<HttpSaying> {
  if (isLoad(command)) {
    return { event: 'done', loaded: await loadServer(command), spent: spent() };
  }
  if (!isChurn(command)) return { event: 'spent', spent: spent() };
  return { event: 'churned', churned: await churn(command), spent: spent() };
}

async function runClient(): Promise<void> {
  subscribe('net.client.socket', (message) => {
    const { socket } = message as { socket: Socket };
    socket.once('connect', () => count(socket));
  });
  say({ event: 'ready', ports: { http: 0, http2: 0, https: 0 } });
  for await (const line of createInterface(process.stdin)) {
    say(await obey(JSON.parse(line) as Load | Churn | Ask));
  }
}

const [side, address = '', key, certificate] = process.argv.slice(2);
const running = side === 'server' ? runServer(address, key, certificate) : runClient();
running.catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
