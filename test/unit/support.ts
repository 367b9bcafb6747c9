/** What the tests of lib/ share. */

import { execFile } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import net from 'node:net';
import path from 'node:path';
import t, { type Test } from 'tap';
import type { ListenMessage } from '../../lib/diagnostics';
import { configure, install } from '../../lib/install';
import { VARIABLES } from '../../lib/mode';
import { useBinding } from '../../lib/transport';
import { FakeBinding } from './fake-binding';
import type { FakeTransport } from './fake-transport';

/** An error as those of net, with what RDMA said. */
export interface ErrorWithCause extends NodeJS.ErrnoException {
  address?: string;
  port?: number;
  cause?: {
    code?: string;
    message?: string;
    detail?: number;
    reason?: { code: string; detail: string };
  };
}

/** RDMA in memory for all sockets of this process; the transport is made at the first connection. */
export function fakeRdma(): FakeBinding {
  const binding = new FakeBinding();
  useBinding(binding, { ownsLoopback: true });
  configure({ transports: ['rdma'] });
  install(true);
  return binding;
}

/** Shared memory and RDMA for all sockets of this process. */
export function fakeTransports(): FakeBinding {
  const binding = fakeRdma();
  configure({ transports: ['local', 'rdma'] });
  return binding;
}

/** The transport of a binding that has been used. */
export function transportOf(binding: FakeBinding): FakeTransport {
  if (binding.transport === undefined) throw new Error('there is no transport yet');
  return binding.transport;
}

/**
 * Makes tests after which no connection and no listener is left, and nothing holds the event loop.
 */
export function testWith(
  binding: FakeBinding,
): (name: string, body: (t: Test) => Promise<void>) => void {
  return (name, body) => {
    void t.test(name, async (t) => {
      await body(t);
      const transport = transportOf(binding);
      await until(() => transport.openConnections === 0 && !transport.referenced);
      t.equal(transport.openListeners, 0, 'no listener is left');
    });
  };
}

/** Destroys sockets, closes servers, and waits for it. */
export async function finish(...ends: (net.Socket | net.Server)[]): Promise<void> {
  for (const end of ends) {
    if (end instanceof net.Server) await close(end);
    else if (!end.destroyed) {
      end.destroy();
      await once(end, 'close');
    }
  }
}

/** The id of the client's side of the connection that was made last. */
export function lastClientId(binding: FakeBinding): number {
  const ids = transportOf(binding).connectionIds;
  return ids[ids.length - 2] ?? -1;
}

/** Listens on loopback, until the server can be reached over RDMA too. Returns the port. */
export async function listen(server: net.Server, host = '127.0.0.1'): Promise<number> {
  const opened = new Promise<void>((resolve) => {
    const onListen = (message: unknown): void => {
      if ((message as ListenMessage).server !== server) return;
      unsubscribe('rdma-net:listen', onListen);
      resolve();
    };
    subscribe('rdma-net:listen', onListen);
  });
  server.listen(0, host);
  await opened;
  return portOf(server);
}

/** Listens on loopback, over TCP at least. Returns the port. */
export async function listenTcp(server: net.Server, host = '127.0.0.1'): Promise<number> {
  server.listen(0, host);
  await once(server, 'listening');
  return portOf(server);
}

/** The port of a listening server. */
export function portOf(server: net.Server): number {
  return (server.address() as net.AddressInfo).port;
}

/** A port at which nobody listens. */
export async function closedPort(): Promise<number> {
  const server = new net.Server();
  const port = await listenTcp(server);
  await close(server);
  return port;
}

/** Closes a server, and waits until all of its connections are closed. */
export async function close(server: net.Server): Promise<void> {
  server.close();
  await once(server, 'close');
}

/** Both ends of one connection to a server that was made for it. */
export async function connectedPair(
  clientOptions: Partial<net.NetConnectOpts> = {},
  serverOptions: net.ServerOpts = {},
): Promise<{ client: net.Socket; server: net.Socket; listener: net.Server }> {
  const listener = net.createServer(serverOptions);
  const port = await listen(listener);
  const accepted = once(listener, 'connection') as Promise<[net.Socket]>;
  const client = net.connect({ port, host: '127.0.0.1', ...clientOptions } as net.NetConnectOpts);
  const [[server]] = await Promise.all([accepted, once(client, 'connect')]);
  return { client, server, listener };
}

/** The end of this tick: what was written in it has left. */
export function tick(): Promise<void> {
  return new Promise((resolve) => {
    process.nextTick(resolve);
  });
}

/** One turn of the event loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** Turns of the event loop until a condition holds; the timeout of the test ends it otherwise. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn();
}

/** Bytes in which no two places look alike, so that lost or doubled bytes show. */
export function pattern(bytes: number): Buffer {
  const buffer = Buffer.allocUnsafeSlow(bytes);
  let state = 12345;
  for (let index = 0; index < bytes; index++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    buffer[index] = state >>> 16;
  }
  return buffer;
}

/** The pieces that a socket gives until its end. */
export async function readAll(socket: net.Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(socket, 'end');
  return Buffer.concat(chunks);
}

/** TLS without certificates: a key that both sides know. */
export const serverTls = {
  ciphers: 'PSK',
  maxVersion: 'TLSv1.2' as const,
  pskCallback: (): Buffer => Buffer.alloc(32, 7),
};

/** The client's side of {@link serverTls}. */
export const clientTls = {
  ciphers: 'PSK',
  maxVersion: 'TLSv1.2' as const,
  pskCallback: (): { psk: Buffer; identity: string } => ({
    psk: Buffer.alloc(32, 7),
    identity: 'test',
  }),
  checkServerIdentity: (): undefined => undefined,
};

/** The compiled lib/, for child processes. */
export const libFolder = path.join(__dirname, '..', '..', 'lib');
/** The compiled tests, for child processes. */
export const testFolder = __dirname;

/** How a child process ended. */
export interface ChildResult {
  code: number;
  stdout: string;
  stderr: string;
}

/**
 * The command that runs this Node with these arguments and only this of NODE_OPTIONS and RDMA_NET*.
 * By `env`, because the test runner puts itself into the environment of whatever is spawned.
 */
export function nodeCommand(
  args: readonly string[],
  environment: Record<string, string> = {},
): [string, string[]] {
  const assignments = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  const names = ['NODE_OPTIONS', ...VARIABLES];
  const unset = names.flatMap((name) => ['-u', name]);
  return ['env', [...unset, ...assignments, process.execPath, ...args]];
}

/** Runs {@link nodeCommand} in the package's folder. */
export function runNode(
  args: readonly string[],
  environment: Record<string, string> = {},
): Promise<ChildResult> {
  const cwd = path.join(libFolder, '..', '..');
  return new Promise((resolve) => {
    execFile(...nodeCommand(args, environment), { cwd }, (error, stdout, stderr) => {
      const code = typeof error?.code === 'number' ? error.code : error === null ? 0 : -1;
      resolve({ code, stdout, stderr });
    });
  });
}
