/** The other side of `rdma-net bench`: serves transfers to whoever connects, within limits. */

import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer } from '../net';
import { settled } from '../settling';
import { serveTransfer, type Transfer } from './transfer';

/** What one client may have. It can send and get back its own kind of bytes, and nothing else. */
const CONNECTIONS_MAX = 8;
const MESSAGE_BYTES_MAX = 2 ** 20;
/** Of one connection, each way. */
const BYTES_MAX = 2 ** 40;
const IDLE_MS_MAX = 10_000;
const CONNECTION_MS_MAX = 300_000;
/** How long RDMA may take to listen; it goes on by itself after that. */
const SETTLING_MS_MAX = 10_000;

function isAllowed({ bytes, count, turns }: Transfer): boolean {
  return bytes <= MESSAGE_BYTES_MAX && bytes * count * turns <= BYTES_MAX;
}

/** What is told about a connection that has ended. */
export interface Served {
  readonly peer: string;
  readonly transport: string;
  readonly bytes: number;
  readonly seconds: number;
  /** Why it was cut off, if so. */
  readonly failure: string | undefined;
}

function serve(socket: Socket, onServed: (served: Served) => void): void {
  const sinceMs = performance.now();
  const peer = socket.remoteAddress ?? '';
  const transport = socket.transport ?? 'tcp';
  let failure: string | undefined;
  const cutOff = (): void => {
    socket.destroy(new Error('it took too long'));
  };
  const timer = setTimeout(cutOff, CONNECTION_MS_MAX);
  socket.setTimeout(IDLE_MS_MAX, cutOff);
  socket.on('error', (error) => (failure = error.message));
  socket.on('close', () => {
    clearTimeout(timer);
    const seconds = (performance.now() - sinceMs) / 1000;
    const bytes = socket.bytesRead + socket.bytesWritten;
    onServed({ peer, transport, bytes, seconds, failure });
  });
  serveTransfer(socket, isAllowed);
}

/**
 * Listens, over all that can be had here.
 * @param host undefined for all addresses
 */
export async function listenForBench(
  port: number,
  host: string | undefined,
  onServed: (served: Served) => void,
): Promise<Server> {
  const server = createServer({ noDelay: true }, (socket) => {
    serve(socket, onServed);
  });
  server.maxConnections = CONNECTIONS_MAX;
  server.listen(port, host);
  await once(server, 'listening');
  await settled(server, SETTLING_MS_MAX);
  return server;
}

/** Where a server listens. */
export function placeOf(server: Server): AddressInfo {
  return server.address() as AddressInfo;
}
