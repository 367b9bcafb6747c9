/** What a socket or server runs on, and why. */

import net from 'node:net';
import type { ConnectionInfo } from './connection-info';
import { fallbackChannel, debug } from './diagnostics';
import { inside, isPipe, isTcp, serverInside } from './internals';
import { FABRIC_TRANSPORTS, type FabricTransportName, type TransportName } from './mode';
import { reasonFor, type Reason, type ReasonCode } from './reasons';
import type { RuleInfo } from './rule';

/**
 * What {@link info} tells of a socket. The fields of a connection are there on RDMA and shared
 * memory only.
 */
export interface SocketInfo extends Partial<ConnectionInfo> {
  /** The same as `socket.transport`: undefined while connecting, and on pipes. */
  transport: TransportName | undefined;
  /**
   * Why it is on TCP, or a pipe; undefined elsewhere, and where TCP was never decided by rdma-net.
   */
  reason: Reason | undefined;
  /** The rule that was followed when it connected, if there was one. */
  rule: RuleInfo | undefined;
}

/** What {@link info} tells of a server. */
export interface ServerInfo {
  /** The best of {@link transports}; undefined for pipes. */
  transport: TransportName | undefined;
  /**
   * How it can be reached now, the best way first. A moment after 'listening' others may come in
   * front of 'tcp': see {@link ListenMessage}.
   */
  transports: TransportName[];
  /** Why it can be reached over TCP only, or at a path, if so. */
  reason: Reason | undefined;
  /** Why it cannot be reached over a transport, for each that is not among {@link transports}. */
  reasons: Partial<Record<FabricTransportName, Reason>>;
  /** The rule that was followed when it began to listen, if there was one. */
  rule: RuleInfo | undefined;
}

interface ServerRecord {
  readonly open: Set<FabricTransportName>;
  readonly reasons: Partial<Record<FabricTransportName, Reason>>;
}

/**
 * A handle that knows on what it runs; the property of this name sits on its prototype. Another copy of
 * this package knows it too.
 */
export const kSource = Symbol.for('rdma-net source');

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
const servers = new WeakMap<object, ServerRecord>();
const rules = new WeakMap<object, RuleInfo>();
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

/** Puts down which rule a socket or server follows; undefined when it follows none. */
export function noteRule(target: net.Socket | net.Server, rule: RuleInfo | undefined): void {
  if (rule === undefined) rules.delete(target);
  else rules.set(target, rule);
}

function ruleOf(target: net.Socket | net.Server): RuleInfo | undefined {
  const rule = rules.get(target);
  return rule && { text: rule.text, source: rule.source, line: rule.line };
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

/** Puts down that a server can be reached over TCP only, when that is certain. */
export function noteServerFallback(server: net.Server, address: string, port: number): void {
  const reason = mainReason(recordOf(server));
  if (reason !== undefined) publishFallback(undefined, server, address, port, reason);
}

function publishFallback(
  socket: net.Socket | undefined,
  server: net.Server | undefined,
  address: string,
  port: number,
  reason: Reason,
): void {
  fallbackCounts.set(reason.code, (fallbackCounts.get(reason.code) ?? 0) + 1);
  if (debug.enabled) debug('%s:%d goes to TCP: %s %s', address, port, reason.code, reason.detail);
  if (fallbackChannel.hasSubscribers) {
    fallbackChannel.publish({ socket, server, address, port, reason });
  }
}

/** Puts down that a socket runs on this handle, for when the handle is gone. */
export function noteSource(socket: object, source: Source): void {
  sockets.set(socket, { transport: source[kSource], reason: undefined, source });
}

function recordOf(server: net.Server): ServerRecord {
  let record = servers.get(server);
  if (record === undefined) {
    record = { open: new Set(), reasons: {} };
    servers.set(server, record);
  }
  return record;
}

// Known when it is decided for all. That a transport was switched off is no news to the user.
function mainReason({ reasons: { local, rdma } }: ServerRecord): Reason | undefined {
  if (local === undefined || rdma === undefined) return undefined;
  return local.code === 'local-off' ? rdma : local;
}

/** Forgets what was known of an earlier time that a server listened. */
export function noteListenBegin(server: net.Server): void {
  servers.delete(server);
}

/** Puts down that a server can be reached over a transport. */
export function noteListening(server: net.Server, name: FabricTransportName): void {
  recordOf(server).open.add(name);
}

/** Puts down that a server cannot be reached over a transport, or not any more. */
export function noteNotListening(
  server: net.Server,
  name: FabricTransportName,
  reason: Reason | undefined,
): void {
  const { open, reasons } = recordOf(server);
  open.delete(name);
  if (reason !== undefined) reasons[name] = reason;
}

function isSource(handle: object | null | undefined): handle is Source {
  return typeof handle === 'object' && handle !== null && kSource in handle;
}

/** The handle under a socket, also under the TLS that the socket itself does. */
export function rawHandle(socket: net.Socket): object | undefined {
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

/** Whether a socket has another handle in the place of TCP's. */
export function isBesideTcp(socket: net.Socket): boolean {
  const transport = transportOf(socket);
  return transport === 'rdma' || transport === 'local';
}

function socketInfo(socket: net.Socket): SocketInfo {
  const inner = innerSocket(socket);
  if (inner !== undefined) return socketInfo(inner);
  const transport = transportOf(socket);
  const handle = rawHandle(socket);
  const record = sockets.get(socket);
  if (transport === 'rdma' || transport === 'local') {
    const source = isSource(handle) ? handle : record?.source;
    return { transport, reason: undefined, rule: ruleOf(socket), ...source?.connectionInfo() };
  }
  if (isPipe(handle)) return { transport, reason: reasonFor('not-tcp'), rule: undefined };
  // Where nothing is caught, a closed client socket could have been anything.
  const isTcpOrUnknown = transport === 'tcp' || socket.destroyed;
  const reason = record?.reason ?? (isTcpOrUnknown ? globalReason : undefined);
  return { transport, reason, rule: ruleOf(socket) };
}

function serverInfo(server: net.Server): ServerInfo {
  const record = servers.get(server);
  if (record !== undefined) {
    const open = FABRIC_TRANSPORTS.filter((name) => record.open.has(name));
    const transports: TransportName[] = [...open, 'tcp'];
    const [transport] = transports;
    const [reason, reasons] = [mainReason(record), { ...record.reasons }];
    return { transport, transports, reason, reasons, rule: ruleOf(server) };
  }
  const { _handle: handle } = serverInside(server);
  const isKnown = isTcp(handle);
  const transport = isKnown ? 'tcp' : undefined;
  const transports: TransportName[] = isKnown ? ['tcp'] : [];
  const other = isPipe(handle) ? reasonFor('not-tcp') : undefined;
  const reason = isKnown ? globalReason : other;
  return { transport, transports, reason, reasons: {}, rule: undefined };
}

/**
 * Tells on what a socket or server runs and why; device, peer and counters where it is not TCP. Works
 * for closed sockets too, and for the sockets of http and TLS.
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
