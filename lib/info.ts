/** What a socket or server runs on, and why. */

import net from 'node:net';
import { fallbackChannel, debug } from './diagnostics';
import { inside, isTcp, serverInside } from './internals';
import type { ConnectionInfo } from './native';
import type { Reason, ReasonCode } from './reasons';

/** What a connection runs on. */
export type TransportName = 'rdma' | 'local' | 'tcp';

/** What {@link info} tells of a socket. The fields of a connection are there on RDMA only. */
export interface SocketInfo extends Partial<ConnectionInfo> {
  /** Undefined while connecting, and on pipes. */
  transport: TransportName | undefined;
  /** Why it is on TCP; undefined on RDMA, and where TCP was never decided by rdma-net. */
  reason: Reason | undefined;
}

/** What {@link info} tells of a server. */
export interface ServerInfo {
  /** How it can be reached besides TCP. */
  transport: 'rdma' | 'tcp' | undefined;
  /** Why it cannot be reached over RDMA. */
  reason: Reason | undefined;
}

/** A handle that knows on what it runs; the property of this name sits on its prototype. */
export const kSource = Symbol('rdma-net source');

/** What a handle with {@link kSource} offers. */
export interface Source {
  readonly [kSource]: TransportName;
  connectionInfo(): ConnectionInfo | undefined;
}

interface SocketRecord {
  transport: TransportName;
  reason: Reason | undefined;
  source: Source | undefined;
}

// Nothing is written on sockets themselves: what falls back has the shape of a native socket.
const sockets = new WeakMap<object, SocketRecord>();
const servers = new WeakMap<object, ServerInfo>();
const fallbackCounts = new Map<ReasonCode, number>();
const tcpRecords = new WeakMap<Reason, SocketRecord>();
let globalReason: Reason | undefined;

/** Why RDMA is out of the question in this process. */
export function setGlobalReason(reason: Reason | undefined): void {
  globalReason = reason;
}

/** How many sockets and servers went to TCP, by reason. */
export function fallbacksByReason(): Partial<Record<ReasonCode, number>> {
  return Object.fromEntries(fallbackCounts);
}

/** Puts down that a socket goes to TCP. */
export function noteFallback(
  socket: net.Socket,
  address: string,
  port: number,
  reason: Reason,
): void {
  let record = tcpRecords.get(reason);
  if (record === undefined) {
    record = { transport: 'tcp', reason, source: undefined };
    tcpRecords.set(reason, record);
  }
  sockets.set(socket, record);
  publishFallback(socket, undefined, address, port, reason);
}

/** Puts down that a server can be reached over TCP only. */
export function noteServerFallback(
  server: net.Server,
  address: string,
  port: number,
  reason: Reason,
): void {
  servers.set(server, { transport: 'tcp', reason });
  publishFallback(undefined, server, address, port, reason);
}

function publishFallback(
  socket: net.Socket | undefined,
  server: net.Server | undefined,
  address: string,
  port: number,
  reason: Reason,
): void {
  fallbackCounts.set(reason.code, (fallbackCounts.get(reason.code) ?? 0) + 1);
  debug('%s:%d goes to TCP: %s %s', address, port, reason.code, reason.detail);
  if (fallbackChannel.hasSubscribers) {
    fallbackChannel.publish({ socket, server, address, port, reason });
  }
}

/** Puts down that a socket runs on this handle, for when the handle is gone. */
export function noteSource(socket: object, source: Source): void {
  sockets.set(socket, { transport: source[kSource], reason: undefined, source });
}

/** Puts down that a server can be reached over RDMA, or no more. */
export function noteServer(server: net.Server, transport: 'rdma' | 'tcp'): void {
  servers.set(server, { transport, reason: undefined });
}

function isSource(handle: object | null | undefined): handle is Source {
  return typeof handle === 'object' && handle !== null && kSource in handle;
}

/** The handle under a socket, also under the TLS that the socket itself does. */
function rawHandle(socket: net.Socket): object | undefined {
  const handle = inside(socket)._handle;
  return handle?._parent ?? handle ?? undefined;
}

// A TLS socket over another socket has that one as its parent.
function innerSocket(socket: net.Socket): net.Socket | undefined {
  const parent = inside(socket)._parent;
  return parent instanceof net.Socket ? parent : undefined;
}

// Accepted TCP sockets are not touched when they are made, so they are known by their server.
function wasAcceptedOverTcp(socket: net.Socket): boolean {
  const server = inside(socket)._server;
  return server instanceof net.Server && serverInside(server)._pipeName === undefined;
}

/** What `socket.transport` says. */
export function transportOf(socket: net.Socket): TransportName | undefined {
  const inner = innerSocket(socket);
  if (inner !== undefined) return transportOf(inner);
  if (socket.connecting) return undefined;
  const handle = rawHandle(socket);
  if (isSource(handle)) return handle[kSource];
  if (isTcp(handle)) return 'tcp';
  const record = sockets.get(socket);
  if (record !== undefined) return record.transport;
  return handle === undefined && wasAcceptedOverTcp(socket) ? 'tcp' : undefined;
}

function socketInfo(socket: net.Socket): SocketInfo {
  const inner = innerSocket(socket);
  if (inner !== undefined) return socketInfo(inner);
  const transport = transportOf(socket);
  const handle = rawHandle(socket);
  const record = sockets.get(socket);
  if (transport === 'rdma' || transport === 'local') {
    const source = isSource(handle) ? handle : record?.source;
    return { transport, reason: undefined, ...source?.connectionInfo() };
  }
  // Where nothing is caught, a closed client socket could have been anything.
  const isTcpOrUnknown = transport === 'tcp' || socket.destroyed;
  return { transport, reason: record?.reason ?? (isTcpOrUnknown ? globalReason : undefined) };
}

function serverInfo(server: net.Server): ServerInfo {
  const known = servers.get(server);
  if (known !== undefined) return { ...known };
  const transport = isTcp(serverInside(server)._handle) ? 'tcp' : undefined;
  return { transport, reason: transport === undefined ? undefined : globalReason };
}

/**
 * Tells on what a socket or server runs and why; device, peer and counters where it is RDMA. Works
 * for closed sockets too.
 * @throws TypeError when it is neither a net.Socket nor a net.Server
 */
export function info(socket: net.Socket): SocketInfo;
export function info(server: net.Server): ServerInfo;
export function info(target: net.Socket | net.Server): SocketInfo | ServerInfo {
  if (target instanceof net.Server) return serverInfo(target);
  if ((target as unknown) instanceof net.Socket) return socketInfo(target);
  throw new TypeError(`info() takes a net.Socket or a net.Server, not ${typeof target}`);
}

/** Defines `transport` on net.Socket.prototype. */
export function defineTransport(): void {
  if (Object.hasOwn(net.Socket.prototype, 'transport')) return;
  Object.defineProperty(net.Socket.prototype, 'transport', {
    configurable: true,
    enumerable: false,
    get(this: net.Socket) {
      return transportOf(this);
    },
  });
}
