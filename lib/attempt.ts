/**
 * One attempt of a socket to connect to one address: RDMA first, TCP beside it after the head start.
 *
 *     state   Response     RDMA failed     head start over   TCP connected   TCP failed
 *     ------  -----------  --------------  ----------------  --------------  --------------
 *     alone   establish    TCP only        both              -               -
 *     both    held         TCP only        -                 reset RDMA      grace
 *     held    -            TCP only        -                 reset RDMA      establish
 *     grace   establish    TCP's error     TCP's error (*)   -               -
 *     done    -            -               -                 -               -
 *
 *     (*) the same span again, for an RDMA answer that is still on its way
 *
 * A response is held while TCP is under way, because a TCP connection may already stand in the
 * queue of the server: establishing RDMA too would show two connections to its program. With mode
 * `require` the state stays `alone`, and the end is an error where it would be TCP.
 */

import { AsyncResource } from 'node:async_hooks';
import type { Socket } from 'node:net';
import { connectChannel, debug, failureChannel } from './diagnostics';
import { RdmaError, attachCause, uvErrnoOf } from './errors';
import { StreamHandle } from './handle';
import { noteFallback } from './info';
import type { ConnectMethod, ConnectRequest, OnConnectComplete, TcpHandle } from './internals';
import { settings } from './mode';
import { EventKind, type DetailKind } from './native';
import type { PeerMemory } from './peers';
import { reasonCodeOf, reasonFor, type ReasonCode } from './reasons';
import { Status } from './status';
import { canSwap, swapHandle } from './swap';
import { adopt, blockAfter, release, retain, theTransport, type EventSink } from './transport';

/** What net.js asked for when it called `connect` of a TCP handle. */
export interface ConnectCall {
  readonly socket: Socket;
  readonly handle: TcpHandle;
  /** The method of Node that was caught. */
  readonly original: ConnectMethod;
  readonly request: ConnectRequest;
  readonly address: string;
  readonly port: number;
}

type State = 'alone' | 'both' | 'held' | 'grace' | 'done';

interface TcpFailure {
  readonly status: number;
  readonly readable: boolean;
  readonly writable: boolean;
}

/** Failures that hold for one port of the peer; others that are the peer's hold for its address. */
const portStatuses: ReadonlySet<Status> = new Set<Status>([
  Status.ConnectionRefused,
  Status.ConnectionRejected,
  Status.IncompatiblePeer,
]);

const addressStatuses: ReadonlySet<Status> = new Set<Status>([
  Status.NoRoute,
  Status.HostUnreachable,
  Status.TimedOut,
  Status.RetriesExceeded,
]);

/**
 * What the head start is longer, at most, while libraries and devices are being opened: that is not
 * the peer's fault, and happens once a process.
 */
const OPENING_MS_MAX = 1000;

/** See the table above. Lives until the socket is connected, has failed, or has been destroyed. */
export class Attempt implements EventSink {
  readonly scope = new AsyncResource('RDMASTREAM');
  readonly #call: ConnectCall;
  readonly #peers: PeerMemory;
  readonly #required = settings.mode === 'require';
  readonly #transport = theTransport();
  readonly #oncomplete: OnConnectComplete | undefined;
  /** Whether connecting holds the event loop, as it would over TCP. */
  readonly #referenced: boolean;
  #state: State = 'alone';
  #id = -1;
  #timer: NodeJS.Timeout | undefined;
  #rdmaFailure: RdmaError | undefined;
  #tcpFailure: TcpFailure | undefined;

  constructor(call: ConnectCall, peers: PeerMemory) {
    this.#call = call;
    this.#peers = peers;
    this.#oncomplete = call.request.oncomplete;
    this.#referenced = call.handle.hasRef();
  }

  /** @returns 0, or a negative errno as the method that was caught */
  start(): number {
    const { address, port, request, socket } = this.#call;
    const { localAddress, localPort } = request;
    const id = this.#transport.connect(address, port, localAddress, localPort ?? 0);
    if (id < 0) return this.#failAtOnce(new RdmaError(-id as Status));
    this.#id = id;
    adopt(id, this);
    if (this.#referenced) retain();
    this.#watchRequest();
    socket.once('close', this.#onSocketClose);
    if (this.#required) return 0;
    if (settings.headStartMs === 0) this.#startBoth();
    else if (this.#transport.isOpen()) this.#startTimer();
    else this.#startTimer(OPENING_MS_MAX);
    return 0;
  }

  handleEvent(kind: EventKind, _id: number, a: number, b: number, c: number): void {
    if (this.#state === 'done') return;
    if (kind === EventKind.Opened) {
      if (this.#timer === undefined || this.#state !== 'alone') return;
      clearTimeout(this.#timer);
      this.#startTimer();
    } else if (kind === EventKind.Response) {
      if (this.#state === 'both') this.#state = 'held';
      else this.#establish();
    } else if (kind === EventKind.ConnectFailed) {
      this.#id = -1;
      this.#onRdmaFailed(new RdmaError(a as Status, b, c as DetailKind));
    } else if (kind === EventKind.Failed) {
      this.#resetRdma();
      this.#onRdmaFailed(new RdmaError(a as Status, b, c as DetailKind));
    }
  }

  // --- RDMA --------------------------------------------------------------------------------------

  #establish(): void {
    const { socket, handle: tcp, request, address, port } = this.#call;
    if (!canSwap(socket, tcp)) {
      this.#resetRdma();
      this.#onRdmaFailed(new RdmaError(Status.Canceled), 'tls-while-connecting');
      return;
    }
    const status = this.#transport.establish(this.#id);
    if (status !== Status.Ok) {
      this.#resetRdma();
      this.#onRdmaFailed(new RdmaError(status));
      return;
    }
    const handle = new StreamHandle(this.#transport, this.#id, this.scope);
    adopt(this.#id, handle);
    this.#peers.forget(address, port);
    this.#finish();
    swapHandle(socket, tcp, handle);
    debug('%s:%d connected over RDMA', address, port);
    if (connectChannel.hasSubscribers) connectChannel.publish({ socket, address, port });
    this.#oncomplete?.call(request, 0, handle, request, true, true);
  }

  #failAtOnce(failure: RdmaError): number {
    const { original, handle, request, address, port, socket } = this.#call;
    this.#state = 'done';
    this.#remember(failure);
    if (this.#required) {
      this.#publishFailure(failure);
      // net.js makes the error when we have returned.
      process.nextTick(() => {
        attachCause(socket.errored, failure);
      });
      return uvErrnoOf(failure.status);
    }
    noteFallback(socket, address, port, reasonFor(reasonCodeOf(failure.status), failure.message));
    return original.call(handle, request, address, port);
  }

  #onRdmaFailed(failure: RdmaError, code = reasonCodeOf(failure.status)): void {
    this.#rdmaFailure = failure;
    this.#remember(failure);
    const { socket, address, port, handle, original, request } = this.#call;
    if (this.#required) {
      this.#finish();
      this.#publishFailure(failure);
      this.#complete(uvErrnoOf(failure.status), false, false);
      return;
    }
    if (this.#state === 'grace') {
      this.#reportTcpFailure();
      return;
    }
    const tcpRuns = this.#state !== 'alone';
    this.#finish();
    noteFallback(socket, address, port, reasonFor(code, failure.message));
    if (tcpRuns) return;
    const status = original.call(handle, request, address, port);
    if (status !== 0) this.#complete(status, false, false);
  }

  #remember(failure: RdmaError): void {
    const { status, message } = failure;
    const { address, port } = this.#call;
    blockAfter(status, message);
    if (this.#required) return;
    const reason = reasonFor(reasonCodeOf(status), `remembered: ${message}`);
    if (portStatuses.has(status)) this.#peers.remember(address, port, reason);
    else if (addressStatuses.has(status)) this.#peers.remember(address, undefined, reason);
  }

  #resetRdma(): void {
    if (this.#id >= 0) this.#transport.reset(this.#id);
    this.#id = -1;
  }

  // --- TCP ---------------------------------------------------------------------------------------

  #startTimer(extraMs = 0): void {
    this.#timer = setTimeout(this.#onTimer, settings.headStartMs + extraMs);
    if (!this.#referenced) this.#timer.unref();
  }

  readonly #onTimer = (): void => {
    this.#timer = undefined;
    if (this.#state === 'grace') this.#reportTcpFailure();
    else this.#startBoth();
  };

  #startBoth(): void {
    this.#state = 'both';
    const { original, handle, request, address, port } = this.#call;
    const status = original.call(handle, request, address, port);
    if (status !== 0) this.#onTcpFailed({ status, readable: false, writable: false });
  }

  // Called by C++ in the context of the request.
  readonly #onTcpComplete: OnConnectComplete = (status, _handle, _request, readable, writable) => {
    if (this.#state !== 'both' && this.#state !== 'held') return;
    if (status !== 0) {
      this.#onTcpFailed({ status, readable, writable });
      return;
    }
    const { socket, address, port } = this.#call;
    let code: ReasonCode = 'tcp-first';
    if (this.#state === 'both') {
      code = 'peer-silent';
      this.#peers.remember(address, undefined, reasonFor(code, 'remembered'));
    }
    this.#resetRdma();
    this.#finish();
    noteFallback(socket, address, port, reasonFor(code));
    this.#complete(0, readable, writable);
  };

  #onTcpFailed(failure: TcpFailure): void {
    this.#tcpFailure = failure;
    if (this.#state === 'held') {
      this.#establish();
      return;
    }
    this.#state = 'grace';
    this.#startTimer();
  }

  #reportTcpFailure(): void {
    const failure = this.#tcpFailure;
    if (failure === undefined) return;
    const { socket, address, port } = this.#call;
    const code = this.#rdmaFailure === undefined ? 'peer-silent' : undefined;
    this.#resetRdma();
    this.#finish();
    const rdma = this.#rdmaFailure;
    const reason = reasonFor(code ?? reasonCodeOf(rdma?.status ?? Status.Ok), rdma?.message);
    noteFallback(socket, address, port, reason);
    this.#complete(failure.status, failure.readable, failure.writable);
  }

  // --- The end -----------------------------------------------------------------------------------

  #complete(status: number, readable: boolean, writable: boolean): void {
    const { handle, request, socket } = this.#call;
    this.#oncomplete?.call(request, status, handle, request, readable, writable);
    const cause = this.#rdmaFailure;
    if (status !== 0 && cause !== undefined) attachCauses(socket.errored, this.#call, cause);
  }

  #publishFailure(error: RdmaError): void {
    if (!failureChannel.hasSubscribers) return;
    failureChannel.publish({ socket: this.#call.socket, server: undefined, error });
  }

  readonly #onSocketClose = (): void => {
    this.#abandon();
  };

  #abandon(): void {
    if (this.#state === 'done') return;
    this.#resetRdma();
    this.#finish();
  }

  #finish(): void {
    this.#state = 'done';
    clearTimeout(this.#timer);
    this.#call.socket.removeListener('close', this.#onSocketClose);
    this.#setOnComplete(this.#oncomplete);
    if (this.#referenced) release();
  }

  // net.js gives up an attempt (happy eyeballs, 250 ms) by closing the handle and taking away
  // `oncomplete`. Nothing else tells us, and RDMA must not go on without its socket.
  #watchRequest(): void {
    Object.defineProperty(this.#call.request, 'oncomplete', {
      configurable: true,
      enumerable: true,
      get: () => this.#onTcpComplete,
      set: (value: OnConnectComplete | undefined) => {
        this.#abandon();
        this.#setOnComplete(value);
      },
    });
  }

  #setOnComplete(value: OnConnectComplete | undefined): void {
    Object.defineProperty(this.#call.request, 'oncomplete', {
      configurable: true,
      enumerable: true,
      writable: true,
      value,
    });
  }
}

// With several addresses, net.js gives one error for all of them that holds one for each.
function attachCauses(error: unknown, call: ConnectCall, cause: Error): void {
  if (error instanceof AggregateError) {
    for (const one of error.errors as unknown[]) {
      if (isErrorOf(one, call)) attachCause(one, cause);
    }
  } else attachCause(error, cause);
}

function isErrorOf(error: unknown, call: ConnectCall): boolean {
  const { address, port } = error as { address?: unknown; port?: unknown };
  return address === call.address && port === call.port;
}
