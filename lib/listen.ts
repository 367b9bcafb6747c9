/** The listeners of a server beside its TCP listener. */

import cluster from 'node:cluster';
import type { AddressInfo, Server } from 'node:net';
import { isLoopback, unmapped } from './address';
import { ownsLoopback } from './binding';
import { failureChannel } from './diagnostics';
import { RdmaUnavailableError, systemError, uvErrnoOf } from './errors';
import { info, noteListenBegin, noteNotListening, noteServerFallback } from './info';
import { isTcp, serverInside, type TcpHandle } from './internals';
import { Listener, type Place } from './listener';
import { planListen, type Plan } from './plan';
import { reasonFor, type Reason } from './reasons';
import { internalsDiffer } from './self-check';
import { Status } from './status';
import { fabricTransports, rdmaTransport, type FabricTransport } from './transport';

/** What net.js was told to listen on. */
export interface ListenCall {
  readonly server: Server;
  /** Connection requests that may wait; 0 for the default. */
  readonly backlog: number;
  /** True when the listening handle came from outside: a file descriptor, another server, IPC. */
  readonly given: boolean;
  readonly ipv6Only: boolean;
}

const DEFAULT_BACKLOG = 511;
const MAX_BACKLOG = 65_535;

/** Opens the other listeners of a server whose TCP listener has just been opened. */
export function listenBeside(call: ListenCall): void {
  const { server } = call;
  const handle = serverInside(server)._handle;
  if (handle === null) return;
  const endpoint: Partial<AddressInfo> = {};
  if (isTcp(handle) && handle.getsockname(endpoint) !== 0) return;
  const { address = '', port = 0 } = endpoint;
  const plan = planListen(server, address, port);
  const reason = whyNone(call, handle, plan);
  // A Unix-domain socket is not a fallback: nobody expected anything else of it.
  if (reason?.code === 'not-tcp') return;
  const backlog = Math.min(call.backlog > 0 ? call.backlog : DEFAULT_BACKLOG, MAX_BACKLOG);
  const place = { server, handle, address, port, backlog, ipv6Only: call.ipv6Only };
  noteListenBegin(server);
  new Listeners(place, plan).open(reason);
}

/** Why a server can have nothing but TCP. */
function whyNone(call: ListenCall, handle: object, plan: Plan): Reason | undefined {
  if (cluster.isWorker) return reasonFor('cluster-worker');
  if (!isTcp(handle)) return reasonFor('not-tcp');
  if (plan.reason !== undefined) return plan.reason;
  if (call.given) return reasonFor('listen-handle');
  if (serverInside(call.server).pauseOnConnect) return reasonFor('handle-passing');
  return undefined;
}

/** Why a server cannot have this transport. */
function whyNot(transport: FabricTransport, place: Place, plan: Plan): Reason | undefined {
  const { address, ipv6Only } = place;
  if (!plan.transports.includes(transport.name)) return transport.offReason;
  if (transport.name === 'rdma') {
    if (ipv6Only && address === '::') return reasonFor('ipv6-only');
    if (isLoopback(unmapped(address)) && !ownsLoopback()) return reasonFor('loopback');
  }
  return transport.unavailable(plan.mode === 'require') ?? internalsDiffer() ?? transport.open();
}

// As net.js does when listening failed: no 'listening', no handle, an 'error'.
function fail(place: Place, errno: number, cause: Error): void {
  const { server, address, port } = place;
  if (failureChannel.hasSubscribers) {
    failureChannel.publish({ socket: undefined, server, error: cause });
  }
  const error = systemError(errno, 'listen', address, port, cause);
  const fields = serverInside(server);
  fields._handle?.close();
  fields._handle = null;
  process.nextTick(() => {
    server.emit('error', error);
  });
}

/**
 * All listeners of one server beside TCP. One of them is enough for mode `require`; when there is
 * none, the server fails, or is known to have fallen back.
 */
class Listeners {
  readonly #place: Place;
  readonly #plan: Plan;
  readonly #listeners: Listener[] = [];
  #pending = new Set<Listener>();

  constructor(place: Place, plan: Plan) {
    this.#place = place;
    this.#plan = plan;
  }

  /** @param reason why there can be none, if so */
  open(reason: Reason | undefined): void {
    const { server, handle } = this.#place;
    for (const transport of fabricTransports) {
      const obstacle = reason ?? whyNot(transport, this.#place, this.#plan);
      if (obstacle !== undefined) noteNotListening(server, transport.name, obstacle);
      else this.#listeners.push(new Listener(transport, this.#place, this.#onSettled));
    }
    if (this.#listeners.length === 0) {
      this.#fallBack();
      return;
    }
    this.#pending = new Set(this.#listeners);
    this.#closeWith(handle);
    for (const listener of this.#listeners) listener.open();
  }

  #closeWith(handle: TcpHandle): void {
    const close = handle.close.bind(handle);
    handle.close = (callback) => {
      for (const listener of this.#listeners) listener.close();
      close(callback);
    };
  }

  readonly #onSettled = (listener: Listener): void => {
    this.#pending.delete(listener);
    if (this.#pending.size === 0 && !this.#listeners.some(({ isOpen }) => isOpen)) {
      this.#fallBack();
    }
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
