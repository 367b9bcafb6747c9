/** The RDMA listener beside the TCP listener of a server. */

import { AsyncResource } from 'node:async_hooks';
import cluster from 'node:cluster';
import type { AddressInfo, Server, Socket } from 'node:net';
import { acceptChannel, debug, failureChannel, listenChannel } from './diagnostics';
import { RdmaError, RdmaUnavailableError, systemError, uvErrnoOf } from './errors';
import { StreamHandle } from './handle';
import { noteServer, noteServerFallback } from './info';
import { isTcp, ownerOf, serverInside, type TcpHandle } from './internals';
import { isLoopback } from './loopback';
import { settings } from './mode';
import { EventKind, type DetailKind } from './native';
import { reasonCodeOf, reasonFor, type Reason } from './reasons';
import { rootedScope } from './scope';
import { internalsDiffer } from './self-check';
import { Status } from './status';
import {
  adopt,
  blockAfter,
  ownsLoopback,
  theTransport,
  unavailable,
  unavailableStatus,
  type EventSink,
} from './transport';

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

/** Opens the RDMA listener of a server whose TCP listener has just been opened. */
export function listenBeside(call: ListenCall): void {
  const { server } = call;
  const handle = serverInside(server)._handle;
  if (handle === null) return;
  const endpoint: Partial<AddressInfo> = {};
  if (isTcp(handle) && handle.getsockname(endpoint) !== 0) return;
  const { address = '', port = 0 } = endpoint;
  const reason = whyTcp(call, handle, address);
  // A Unix-domain socket is not a fallback: nobody expected RDMA of it.
  if (reason?.code === 'not-tcp') return;
  if (reason === undefined) new Listener(call, handle, address, port).open();
  else if (settings.mode === 'require') {
    const cause = new RdmaUnavailableError(reason);
    const status = reason.code === 'loopback' ? Status.AddressNotAvailable : unavailableStatus();
    fail(server, uvErrnoOf(status), address, port, cause);
  } else noteServerFallback(server, address, port, reason);
}

function whyTcp(call: ListenCall, handle: object, address: string): Reason | undefined {
  if (cluster.isWorker) return reasonFor('cluster-worker');
  if (!isTcp(handle)) return reasonFor('not-tcp');
  if (settings.mode === 'off') return reasonFor('mode-off');
  if (call.given) return reasonFor('listen-handle');
  if (serverInside(call.server).pauseOnConnect) return reasonFor('handle-passing');
  if (call.ipv6Only && address === '::') return reasonFor('ipv6-only');
  if (isLoopback(address) && !ownsLoopback()) return reasonFor('loopback');
  return unavailable(settings.mode === 'require') ?? internalsDiffer();
}

// As net.js does when listening failed: no 'listening', no handle, an 'error'.
function fail(server: Server, errno: number, address: string, port: number, cause: Error): void {
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

/** Follows the TCP handle of its server: opened after it, closed with it. */
class Listener implements EventSink {
  readonly scope = new AsyncResource('RDMASERVER');
  readonly #transport = theTransport();
  readonly #required = settings.mode === 'require';
  readonly #server: Server;
  readonly #backlog: number;
  readonly #handle: TcpHandle;
  readonly #onconnection: TcpHandle['onconnection'];
  readonly #address: string;
  readonly #port: number;
  /** -1 when it is not open, or no longer. */
  #id = -1;

  constructor(call: ListenCall, handle: TcpHandle, address: string, port: number) {
    this.#server = call.server;
    this.#backlog = Math.min(call.backlog > 0 ? call.backlog : DEFAULT_BACKLOG, MAX_BACKLOG);
    this.#handle = handle;
    this.#onconnection = handle.onconnection;
    this.#address = address;
    this.#port = port;
  }

  open(): void {
    const id = this.#transport.listen(this.#address, this.#port, this.#backlog);
    if (id < 0) {
      this.#onFailed(new RdmaError(-id as Status));
      return;
    }
    this.#id = id;
    adopt(id, this);
    const handle = this.#handle;
    const close = handle.close.bind(handle);
    handle.close = (callback) => {
      this.#close();
      close(callback);
    };
  }

  handleEvent(kind: EventKind, id: number, a: number, b: number, c: number): void {
    if (kind === EventKind.Accepted) this.#onAccepted(id);
    else if (this.#id < 0) return;
    else if (kind === EventKind.Listening) this.#onListening();
    else if (kind === EventKind.ListenFailed) {
      this.#id = -1;
      this.#onFailed(new RdmaError(a as Status, b, c as DetailKind));
    }
  }

  #onListening(): void {
    if (!this.#isOurs()) {
      this.#close();
      return;
    }
    noteServer(this.#server, 'rdma');
    debug('%s:%d can be reached over RDMA', this.#address, this.#port);
    if (listenChannel.hasSubscribers) {
      listenChannel.publish({ server: this.#server, address: this.#address, port: this.#port });
    }
  }

  // The primary of a cluster takes the handle away from the server that opened it, to give the
  // connections to its workers: it cannot do that with ours.
  #isOurs(): boolean {
    return (
      serverInside(this.#server)._handle === this.#handle &&
      this.#handle.onconnection === this.#onconnection
    );
  }

  #onAccepted(id: number): void {
    if (this.#id < 0 || !this.#isOurs()) {
      this.#close();
      this.#transport.reset(id);
      return;
    }
    // The context of an accepted TCP socket is not that of the code that called listen either.
    const handle = new StreamHandle(this.#transport, id, rootedScope('RDMASTREAM'));
    adopt(id, handle);
    this.#onconnection?.call(this.#handle, 0, handle);
    if (acceptChannel.hasSubscribers) {
      const socket = ownerOf(handle) as Socket | undefined;
      acceptChannel.publish({ server: this.#server, socket });
    }
  }

  #onFailed(failure: RdmaError): void {
    blockAfter(failure.status, failure.message);
    if (!this.#required) {
      const reason = reasonFor(reasonCodeOf(failure.status), failure.message);
      noteServerFallback(this.#server, this.#address, this.#port, reason);
      return;
    }
    fail(this.#server, uvErrnoOf(failure.status), this.#address, this.#port, failure);
  }

  #close(): void {
    if (this.#id < 0) return;
    this.#transport.close(this.#id);
    this.#id = -1;
    noteServer(this.#server, 'tcp');
  }
}
