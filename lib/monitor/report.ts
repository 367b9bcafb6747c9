/**
 * What an environment tells `rdma-net status`, in parts that are made one at a time.
 *
 * Sockets on TCP are found among the active handles of the environment, which Node knows anyway: they
 * are not in a list of ours, and nothing is done for them before somebody asks.
 */

import net from 'node:net';
import { performance } from 'node:perf_hooks';
import { threadId } from 'node:worker_threads';
import { connectionInfo } from '../connection-info';
import { StreamHandle } from '../handle';
import { info, rawHandle } from '../info';
import { activeHandles, inside, isTcp, ownerOf, serverInside, type TcpHandle } from '../internals';
import { Listener } from '../listener';
import { settings, type FabricTransportName, type Mode, type TransportName } from '../mode';
import type { Reason, ReasonCode } from '../reasons';
import { stats } from '../stats';
import { fabricTransports, type EventSink, type FabricTransport } from '../transport';
import { packageVersion } from '../version';
import { PROTOCOL } from './folder';

/** How many sockets or servers are described for one part: some 15 KiB, and a millisecond. */
const PART_COUNT = 50;
/** How many are only counted for one. */
const PART_COUNT_MAX = 5000;

/** Where one side of a connection is. */
export interface Address {
  address: string;
  port: number;
}

/** A reason without what can be looked up by its code. */
export interface ShortReason {
  code: ReasonCode;
  detail: string;
}

/** One server. */
export interface ServerReport extends Address {
  /** By which it can be reached, the best first. */
  transports: TransportName[];
  /** Why it cannot be reached by the others. */
  reasons: Partial<Record<FabricTransportName, ShortReason>>;
  connections: number;
}

/** One connection; null is what is not known, or what TCP does not have. */
export interface ConnectionReport {
  /** Of one connection as long as it is there; another one may have it later. */
  id: string;
  transport: TransportName;
  /** `in` when a server has accepted it. */
  direction: 'in' | 'out' | null;
  local: Address | null;
  remote: Address | null;
  /** `shm` for shared memory. */
  device: string | null;
  /** What the other side runs. */
  peer: 'rdma-net' | 'rsockets' | null;
  /** Why it is on TCP. */
  reason: ShortReason | null;
  bytesReceived: number;
  bytesSent: number;
  bytesReceivedInPlace: number | null;
  bytesSentInPlace: number | null;
  /** How often sending had to wait for the peer. */
  creditStalls: number | null;
  ageSeconds: number | null;
}

/** Sums of an environment. Bytes and stalls are of shared memory and RDMA, and of all times. */
export interface TotalsReport {
  /** How many there are now. */
  connections: Record<TransportName, number>;
  servers: number;
  bytesReceived: number;
  bytesSent: number;
  bytesReceivedInPlace: number;
  bytesSentInPlace: number;
  creditStalls: number;
  pinnedBytes: number;
  /** How many sockets and servers went to TCP, by reason. */
  fallbacks: Partial<Record<ReasonCode, number>>;
}

/** One environment: the main thread (0) or a worker. */
export interface EnvironmentReport {
  thread: number;
  program: string;
  uptimeSeconds: number;
  servers: ServerReport[];
  connections: ConnectionReport[];
  totals: TotalsReport;
}

/** What is the same for all environments of a program. */
export interface ProgramReport {
  protocol: number;
  pid: number;
  node: string;
  /** Of rdma-net. */
  version: string;
  mode: Mode;
  transports: FabricTransportName[];
  /** How many rules there are. */
  rules: number;
}

/** A part of a report; lists go on where those of the part before ended. */
export interface ReportPart extends Partial<EnvironmentReport>, Partial<ProgramReport> {
  /** The last one. */
  end?: true;
}

let ownVersion: string | undefined;

function shorten({ code, detail }: Reason): ShortReason {
  return { code, detail };
}

function head(): ReportPart {
  const { mode, transports, rules } = settings;
  return {
    protocol: PROTOCOL,
    pid: process.pid,
    node: process.version,
    version: (ownVersion ??= packageVersion()),
    mode,
    transports: [...transports],
    rules: rules.length,
    thread: threadId,
    // Without a script it is what was given with -e, or read from standard input.
    program: process.argv[1] ?? '[eval]',
    uptimeSeconds: process.uptime(),
  };
}

/** Where a handle is, or whom it is connected to. Not as its socket says it: that would keep it. */
function place(ask: (out: Partial<Address>) => number): Address | null {
  const { address, port }: Partial<Address> = fill({}, ask);
  return address === undefined || port === undefined ? null : { address, port };
}

function fill<T>(out: T, ask: (out: T) => number): T {
  ask(out);
  return out;
}

function directionOf(owner: object | undefined): ConnectionReport['direction'] {
  if (!(owner instanceof net.Socket)) return null;
  return inside(owner)._server instanceof net.Server ? 'in' : 'out';
}

function describeStream(
  { name, opened }: FabricTransport,
  id: number,
  handle: StreamHandle,
): ConnectionReport | undefined {
  const connection = opened && connectionInfo(opened, id);
  if (connection === undefined) return undefined;
  const { device, peer, counters } = connection;
  const { bytesReceived, bytesSent, bytesReceivedInPlace, bytesSentInPlace } = counters;
  return {
    id: `${name}/${id}`,
    transport: name,
    direction: directionOf(ownerOf(handle)),
    local: place((out) => handle.getsockname(out)),
    remote: place((out) => handle.getpeername(out)),
    device,
    peer,
    reason: null,
    bytesReceived,
    bytesSent,
    bytesReceivedInPlace,
    bytesSentInPlace,
    creditStalls: counters.creditStalls,
    ageSeconds: (performance.now() - handle.sinceMs) / 1000,
  };
}

function describeTcp(handle: TcpHandle, owner: net.Socket | undefined): ConnectionReport {
  const reason = owner && info(owner).reason;
  return {
    id: `tcp/${handle.getAsyncId()}`,
    transport: 'tcp',
    direction: directionOf(owner),
    local: place((out) => handle.getsockname(out)),
    remote: place((out) => handle.getpeername(out)),
    device: null,
    peer: null,
    reason: reason === undefined ? null : shorten(reason),
    bytesReceived: handle.bytesRead,
    bytesSent: handle.bytesWritten,
    bytesReceivedInPlace: null,
    bytesSentInPlace: null,
    creditStalls: null,
    ageSeconds: null,
  };
}

function describeServer(server: net.Server): ServerReport | undefined {
  const { _handle: handle, _connections: connections } = serverInside(server);
  const at = handle === null ? null : place((out) => handle.getsockname(out));
  if (at === null) return undefined;
  const { transports, reasons } = info(server);
  const short = Object.entries(reasons).map(([name, reason]) => [name, shorten(reason)] as const);
  return { ...at, transports, reasons: Object.fromEntries(short), connections };
}

/** What was found, and how to describe it. */
type Finding =
  | { kind: 'server'; describe: () => ServerReport | undefined }
  | { kind: TransportName; describe: () => ConnectionReport | undefined };

/** Goes through all that there is: one thing a step, and undefined for what is not told about. */
function* findings(): Generator<Finding | undefined> {
  const seen = new Set<object>();
  for (const transport of fabricTransports) {
    // Those that come meanwhile stand at the end, and are left out.
    let left = transport.sinks.size;
    for (const [id, sink] of transport.sinks) {
      if (left-- === 0) break;
      yield findSink(transport, id, sink, seen);
    }
  }
  for (const object of activeHandles()) yield findHandle(object, seen);
}

function findSink(
  transport: FabricTransport,
  id: number,
  sink: EventSink,
  seen: Set<object>,
): Finding | undefined {
  const kind = transport.name;
  if (sink instanceof StreamHandle) {
    return { kind, describe: () => describeStream(transport, id, sink) };
  }
  return sink instanceof Listener ? findServer(sink.server, seen) : undefined;
}

function findServer(server: net.Server, seen: Set<object>): Finding | undefined {
  if (seen.has(server)) return undefined;
  seen.add(server);
  return { kind: 'server', describe: () => describeServer(server) };
}

function findHandle(object: object, seen: Set<object>): Finding | undefined {
  if (object instanceof net.Server) return findServer(object, seen);
  const owner = object instanceof net.Socket ? object : undefined;
  const handle = owner === undefined ? object : rawHandle(owner);
  // Two sockets have the same handle where TLS was put over one.
  if (!isTcp(handle) || owner?.connecting === true || seen.has(handle)) return undefined;
  seen.add(handle);
  return { kind: 'tcp', describe: () => describeTcp(handle, owner) };
}

function totalsOf(connections: Record<TransportName, number>, servers: number): TotalsReport {
  const { counters, pinnedBytes, fallbacks } = stats();
  const { bytesReceived, bytesSent, bytesReceivedInPlace, bytesSentInPlace } = counters;
  const { creditStalls } = counters;
  return {
    connections,
    servers,
    bytesReceived,
    bytesSent,
    bytesReceivedInPlace,
    bytesSentInPlace,
    creditStalls,
    pinnedBytes,
    fallbacks,
  };
}

/**
 * All that there is to tell, in parts.
 * @param withSockets false for the totals only
 */
export function* report(withSockets: boolean): Generator<ReportPart> {
  yield head();
  const counts = { local: 0, rdma: 0, tcp: 0, server: 0 };
  const partCount = withSockets ? PART_COUNT : PART_COUNT_MAX;
  let looked = 0;
  let servers: ServerReport[] = [];
  let connections: ConnectionReport[] = [];
  for (const finding of findings()) {
    if (finding !== undefined) counts[finding.kind]++;
    if (withSockets && finding?.kind === 'server') push(servers, finding.describe());
    else if (withSockets && finding !== undefined) push(connections, finding.describe());
    if (++looked % partCount !== 0) continue;
    yield { servers, connections };
    [servers, connections] = [[], []];
  }
  const { server, ...now } = counts;
  yield { servers, connections, totals: totalsOf(now, server), end: true };
}

function push<T>(list: T[], item: T | undefined): void {
  if (item !== undefined) list.push(item);
}
