/** The listeners of a server beside its TCP listener. */

import cluster from 'node:cluster';
import type { AddressInfo, Server } from 'node:net';
import { isLoopback, unmapped } from './address';
import { ownsLoopback } from './binding';
import { debug, publishFailure } from './diagnostics';
import { RdmaUnavailableError, systemError, uvErrnoOf } from './errors';
import { HeldListening } from './held-listening';
import { info, noteListenBegin, noteNotListening, noteServerFallback } from './info';
import { isTcp, serverInside, type TcpHandle } from './internals';
import { Listener, type Place } from './listener';
import { Sharing } from './native';
import { Status } from './native-status';
import { planListen, type Plan } from './plan';
import { reasonFor, type Reason } from './reasons';
import { internalsDiffer } from './self-check';
import { fabricTransports, localTransport, rdmaTransport, type FabricTransport } from './transport';

/** What net.js was told to listen on. */
export interface ListenCall {
  readonly server: Server;
  /** Connection requests that may wait; 0 for the default. */
  readonly backlog: number;
  /** True when the listening handle came from outside: a file descriptor, another server, IPC. */
  readonly given: boolean;
  /** True when it came from the primary of a cluster, which gives it to all its workers. */
  readonly fromPrimary: boolean;
  readonly ipv6Only: boolean;
  /** Whether servers of other processes may listen there too. */
  readonly reusePort: boolean;
}

const listenersOf = new WeakMap<Server, Listeners>();

const DEFAULT_BACKLOG = 511;
const MAX_BACKLOG = 65_535;

/** Opens the other listeners of a server whose TCP listener has just been opened. */
export function listenBeside(call: ListenCall): void {
  const { server } = call;
  const handle = serverInside(server)._handle;
  if (handle === null) return;
  const endpoint: Partial<AddressInfo> = {};
  const knowsAddress = isTcp(handle) || call.fromPrimary;
  if (knowsAddress && handle.getsockname(endpoint) !== 0) return;
  const { address = '', port = 0 } = endpoint;
  const plan = planListen(server, address, port);
  const reason = whyNone(call, handle, plan);
  // A Unix-domain socket is not a fallback: nobody expected anything else of it.
  if (reason?.code === 'not-tcp') return;
  const backlog = Math.min(call.backlog > 0 ? call.backlog : DEFAULT_BACKLOG, MAX_BACKLOG);
  const { ipv6Only, reusePort, fromPrimary: inCluster } = call;
  const sharing = inCluster || reusePort ? Sharing.Member : Sharing.Alone;
  const place = { server, handle, address, port, backlog, ipv6Only, sharing, inCluster };
  noteListenBegin(server);
  if (reason === undefined && isPrimaryWithWorkers()) openAsPrimary(place, plan);
  else new Listeners(place, plan).open(reason);
}

/**
 * Closes the listeners of a server, except that over TCP: another process is to have connections of
 * it too, and only those over TCP can be shared or sent.
 */
export function stopBeside(server: Server): void {
  listenersOf.get(server)?.stop(reasonFor('handle-passing'));
}

function isPrimaryWithWorkers(): boolean {
  return cluster.isPrimary && Object.keys(cluster.workers ?? {}).length > 0;
}

/**
 * For a server that may be that of the primary itself, with which it serves its workers: that shows
 * when it takes away the handle. Until then it is taken for one. To send connections to the workers,
 * the primary must be there before the first of them listens.
 */
function openAsPrimary(place: Place, plan: Plan): void {
  const { server, handle } = place;
  const { onconnection } = handle;
  const dispatcher = openDispatcher({ ...place, sharing: Sharing.Dispatcher }, plan);
  // After 'listening'.
  process.nextTick(() => {
    if (serverInside(server)._handle === handle && handle.onconnection === onconnection) {
      dispatcher?.close();
      new Listeners(place, plan).open(undefined);
    }
  });
}

function openDispatcher(place: Place, plan: Plan): Listener | undefined {
  if (whyNot(localTransport, place, plan) !== undefined) return undefined;
  const dispatcher = new Listener(localTransport, place, () => undefined);
  closeWith(place.handle, [dispatcher]);
  dispatcher.open();
  return dispatcher;
}

function closeWith(handle: TcpHandle, listeners: readonly Pick<Listener, 'close'>[]): void {
  const close = handle.close.bind(handle);
  handle.close = (callback) => {
    for (const listener of listeners) listener.close();
    close(callback);
  };
}

/** Why a server can have nothing but TCP. */
function whyNone(call: ListenCall, handle: object, plan: Plan): Reason | undefined {
  if (!isTcp(handle) && !call.fromPrimary) return reasonFor('not-tcp');
  if (plan.reason !== undefined) return plan.reason;
  if (call.given && !call.fromPrimary) return reasonFor('listen-handle');
  if (serverInside(call.server).pauseOnConnect) return reasonFor('handle-passing');
  return undefined;
}

/** Why a server cannot have this transport. */
function whyNot(transport: FabricTransport, place: Place, plan: Plan): Reason | undefined {
  const { address, ipv6Only, inCluster } = place;
  if (passesOnSurplus(place) && plan.mode !== 'require') {
    return reasonFor('handle-passing', 'connections above maxConnections go to other workers');
  }
  if (!plan.transports.includes(transport.name)) return transport.offReason;
  if (transport.name === 'rdma') {
    // The kernel gives such a port to one listener, and its connections to no other process.
    if (inCluster) return reasonFor('cluster-worker');
    if (ipv6Only && address === '::') return reasonFor('ipv6-only');
    if (isLoopback(unmapped(address)) && !ownsLoopback()) return reasonFor('loopback');
  }
  return transport.unavailable(plan.mode === 'require') ?? internalsDiffer() ?? transport.open();
}

// The primary gives a worker a connection, and takes it back if the worker has enough of them. Only
// what goes through the primary can be taken back.
function passesOnSurplus({ server, handle, inCluster }: Place): boolean {
  if (!inCluster || isTcp(handle)) return false;
  const limits: { maxConnections?: number; dropMaxConnection?: boolean } = server;
  return limits.maxConnections !== undefined && limits.dropMaxConnection !== true;
}

// As net.js does when listening failed: no 'listening', no handle, an 'error'.
function fail(place: Place, errno: number, cause: Error): void {
  const { server, address, port } = place;
  publishFailure({ socket: undefined, server, error: cause }, place);
  const error = systemError(errno, 'listen', address, port, cause);
  const fields = serverInside(server);
  fields._handle?.close();
  fields._handle = null;
  process.nextTick(() => {
    server.emit('error', error);
  });
}

/**
 * All listeners of one server beside TCP. One of them is enough for mode `require`, where 'listening'
 * waits for all; when there is none, the server fails, or is known to have fallen back.
 */
class Listeners {
  readonly #place: Place;
  readonly #plan: Plan;
  readonly #listeners: Listener[] = [];
  #pending = new Set<Listener>();
  #held: HeldListening | undefined;

  constructor(place: Place, plan: Plan) {
    this.#place = place;
    this.#plan = plan;
  }

  /** @param reason why there can be none, if so */
  open(reason: Reason | undefined): void {
    const { handle } = this.#place;
    for (const transport of fabricTransports) {
      const obstacle = reason ?? whyNot(transport, this.#place, this.#plan);
      if (obstacle !== undefined) this.#leaveOut(transport, obstacle);
      else this.#listeners.push(new Listener(transport, this.#place, this.#onSettled));
    }
    if (this.#listeners.length === 0) {
      this.#fallBack();
      return;
    }
    this.#pending = new Set(this.#listeners);
    if (this.#plan.mode === 'require') this.#held = new HeldListening(this.#place.server);
    closeWith(handle, [...this.#listeners, { close: () => this.#held?.drop() }]);
    listenersOf.set(this.#place.server, this);
    for (const listener of this.#listeners) listener.open();
  }

  #leaveOut({ name }: FabricTransport, reason: Reason): void {
    const { server, address, port } = this.#place;
    const { code, detail } = reason;
    debug('%s:%d cannot be reached over %s: %s %s', address, port, name, code, detail);
    noteNotListening(server, name, reason);
  }

  stop(reason: Reason): void {
    const { server } = this.#place;
    if (this.#place.handle !== serverInside(server)._handle) return;
    for (const listener of this.#listeners) {
      if (listener.failure !== undefined) continue;
      listener.close();
      noteNotListening(server, listener.transport.name, reason);
    }
  }

  readonly #onSettled = (listener: Listener): void => {
    this.#pending.delete(listener);
    if (this.#pending.size > 0) return;
    if (this.#listeners.some(({ isOpen }) => isOpen)) this.#held?.release();
    else this.#fallBack();
  };

  #fallBack(): void {
    const { server, address, port } = this.#place;
    if (this.#plan.mode !== 'require') {
      noteServerFallback(server, address, port);
      return;
    }
    const failure = this.#listeners.find((listener) => listener.failure !== undefined)?.failure;
    if (failure !== undefined) {
      fail(this.#place, uvErrnoOf(failure.status), failure);
      return;
    }
    const reason = info(server).reason ?? reasonFor('connection-failed');
    fail(this.#place, uvErrnoOf(statusOf(reason)), new RdmaUnavailableError(reason));
  }
}

function statusOf({ code }: Reason): Status {
  if (code === 'loopback') return Status.AddressNotAvailable;
  return code === 'rule-tls' ? Status.PermissionDenied : rdmaTransport.unavailableStatus;
}
