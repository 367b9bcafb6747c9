/**
 * One attempt of a socket to connect to one address: another transport (shared memory, then RDMA)
 * first, TCP beside it after the head start.
 *
 *     state   Response     it failed       time is over      TCP connected   TCP failed
 *     ------  -----------  --------------  ----------------  --------------  --------------
 *     alone   establish    the next one,   both              -               -
 *                          or TCP only
 *     both    held         the next one,   -                 reset it        grace
 *                          or TCP only
 *     held    -            TCP only        establish (*)     reset it        establish
 *     grace   establish    the next one,   TCP's error       -               -
 *                          or TCP's error
 *     done    -            -               -                 -               -
 *
 *     (*) unless TCP has connected as well, and is about to say so
 *
 * Each state has its own time: `alone` the head start, `held` and `grace` the same span once more.
 * The next transport has the whole head start again, unless TCP has begun. A response is held while
 * TCP is under way, because a TCP connection may already stand in the queue of the server:
 * establishing too would show two connections to its program. A server queues none before our side
 * is connected, which the kernel tells. With mode `require` the state stays `alone`, and the end is
 * an error where it would be TCP.
 */

import { AsyncResource } from 'node:async_hooks';
import { performance } from 'node:perf_hooks';
import { connectChannel, debug, publishFailure } from './diagnostics';
import type { ConnectCall, Dial, Dialed } from './dial';
import { RdmaError, attachCauses, uvErrnoOf } from './errors';
import { StreamHandle } from './handle';
import { noteFallback } from './info';
import { inside, type OnConnectComplete, type TcpHandle } from './internals';
import { listensHere } from './listener';
import { settings } from './mode';
import { EventKind, type DetailKind, type Handshake } from './native';
import { Status } from './native-status';
import { Probe } from './probe';
import { reasonFor, type Reason, type ReasonCode } from './reasons';
import { setOnComplete, watchRequest } from './request';
import { canSwap, swapHandle } from './swap';
import type { EventSink, FabricTransport } from './transport';

type State = 'alone' | 'both' | 'held' | 'grace' | 'done';

interface TcpFailure {
  readonly status: number;
  readonly readable: boolean;
  readonly writable: boolean;
}

/**
 * How long, at least, an answer is waited for when TCP has failed. What could be had sooner is an
 * error, and a server may be there for RDMA only.
 */
const GRACE_MS_MIN = 50;
/**
 * How much longer at most while libraries and devices are being opened: that is not the peer's fault,
 * and happens once a process.
 */
const OPENING_MS_MAX = 1000;
/** How far timers may be from what they were set to. */
const TIMER_MS = 1;
/**
 * What is left of the head start, at least, when this package was loaded within it for the first
 * connection of a process.
 */
const HEAD_START_SHARE = 0.5;

function noop(): void {
  // The socket has been connected otherwise.
}

/** Those under way, by the handle that net.js has. */
const attempts = new Map<TcpHandle, Attempt>();

/** Whether a handle is connecting, whatever over. */
export function isUnderWay(handle: TcpHandle): boolean {
  return attempts.has(handle);
}

/** See the table above. Lives until the socket is connected, has failed, or has been destroyed. */
export class Attempt implements EventSink {
  readonly scope = new AsyncResource('RDMASTREAM');
  readonly #call: ConnectCall;
  readonly #dial: Dial;
  readonly #required: boolean;
  readonly #oncomplete: OnConnectComplete | undefined;
  #state: State = 'alone';
  #transport: FabricTransport;
  /** -1 when it is over. */
  #id: number;
  #timer: NodeJS.Timeout | undefined;
  /** When `connect` was called, on the clock of performance.now(). */
  #sinceMs: number;
  /** Since when the peer can have been asked, on the same clock. */
  #askedSinceMs: number | undefined;
  #failure: RdmaError | undefined;
  #tcpFailure: TcpFailure | undefined;

  constructor(call: ConnectCall, dial: Dial, first: Dialed) {
    this.#call = call;
    this.#dial = dial;
    this.#required = dial.isRequired;
    this.#transport = first.transport;
    this.#id = first.id;
    this.#oncomplete = call.request.oncomplete;
    this.#sinceMs = call.sinceMs;
  }

  /** @returns 0, as the method that was caught */
  start(): number {
    watchRequest(this.#call.request, this.#onTcpComplete, (value) => {
      this.#abandon();
      setOnComplete(this.#call.request, value);
    });
    this.#call.socket.on('close', this.#onSocketClose);
    attempts.set(this.#call.handle, this);
    this.#begin();
    return 0;
  }

  #begin(): void {
    this.#transport.adopt(this.#id, this);
    this.#dial.trace('begin', this.#transport.name);
    // As over TCP: a request that is under way holds the event loop, also for an unreferenced socket.
    this.#transport.retain();
    this.#askedSinceMs = this.#transport.native.isOpen() ? performance.now() : undefined;
    if (this.#required || this.#state === 'both') return;
    if (this.#state === 'grace') this.#startGrace();
    else if (settings.headStartMs === 0) this.#startBoth();
    else this.#startTimer(this.#dial.headStartMs(this.#transport) - this.#spentMs());
  }

  /** What of the head start has gone by, once. */
  #spentMs(): number {
    const spentMs = performance.now() - this.#sinceMs;
    this.#sinceMs = Infinity;
    return Math.max(0, Math.min(spentMs - TIMER_MS, settings.headStartMs * (1 - HEAD_START_SHARE)));
  }

  handleEvent(kind: EventKind, id: number, a: number, b: number, c: number): void {
    if (kind === EventKind.ConnectFailed) this.#id = -1;
    if (this.#isOver()) return;
    if (kind === EventKind.Opened) {
      this.#askedSinceMs = performance.now();
      this.#dial.trace('open', this.#transport.name);
      if (this.#state === 'grace') this.#startTimer(this.#graceMs());
    } else if (kind === EventKind.Response) {
      this.#onResponse();
    } else if (kind === EventKind.ConnectFailed) {
      const handshake = this.#dial.handshakeOf(this.#transport, id);
      this.#onFailed(new RdmaError(a as Status, b, c as DetailKind), undefined, handshake);
    } else if (kind === EventKind.Failed) {
      this.#resetConnection();
      this.#onFailed(new RdmaError(a as Status, b, c as DetailKind));
    }
  }

  /** Whether nobody waits for it any more: a socket that is destroyed emits 'close' a bit later. */
  #isOver(): boolean {
    if (this.#state !== 'done' && this.#hasLostSocket()) this.#abandon();
    return this.#state === 'done';
  }

  // --- The other transport -----------------------------------------------------------------------

  #onResponse(): void {
    const handshake = this.#dial.handshakeOf(this.#transport, this.#id);
    this.#dial.trace('answer', this.#transport.name, { handshake });
    if (this.#state !== 'both') {
      this.#establish();
      return;
    }
    this.#state = 'held';
    this.#startTimer(this.#graceMs());
  }

  #establish(): void {
    const { socket, handle: tcp, request, address, port } = this.#call;
    const transport = this.#transport;
    if (!canSwap(socket, tcp)) {
      this.#resetConnection();
      this.#onFailed(new RdmaError(Status.Canceled), 'tls-while-connecting');
      return;
    }
    const status = transport.native.establish(this.#id);
    if (status !== Status.Ok) {
      this.#resetConnection();
      this.#onFailed(new RdmaError(status));
      return;
    }
    const handle = new StreamHandle(transport, this.#id, this.scope, address);
    transport.adopt(this.#id, handle);
    this.#dial.succeed(transport);
    // Closing the TCP handle completes its request, and to net.js that has been complete for long.
    const tcpRuns = this.#state === 'held' && this.#tcpFailure === undefined;
    this.#finish();
    if (tcpRuns) setOnComplete(request, noop);
    swapHandle(socket, tcp, handle);
    debug('%s:%d connected over %s', address, port, transport.name);
    if (connectChannel.hasSubscribers) {
      connectChannel.publish({ socket, address, port, transport: transport.name });
    }
    if (transport.name === 'local' && listensHere(port)) this.#completeAfterAccept(handle);
    else this.#oncomplete?.call(request, 0, handle, request, true, true);
  }

  // Over TCP a server of this very program has its connection before the client has its own, and
  // programs that close the server at 'connect' count on that. What the server has to be told comes
  // to it in the next turn of the event loop.
  #completeAfterAccept(handle: StreamHandle): void {
    const { request } = this.#call;
    const complete = (): void => {
      // net.js has given up this address meanwhile, and has another handle.
      if (request.oncomplete === undefined) handle.close();
      else request.oncomplete.call(request, 0, handle, request, true, true);
    };
    this.scope.runInAsyncScope(() => {
      setImmediate(() => {
        setImmediate(complete);
      });
    });
  }

  #onFailed(failure: RdmaError, code?: ReasonCode, handshake?: Handshake): void {
    this.#failure = failure;
    this.#dial.fail(this.#transport, failure, code, handshake);
    if (this.#state !== 'held') {
      const next = this.#dial.next();
      if (next !== undefined) {
        this.#goOn(next);
        return;
      }
    }
    if (this.#required) this.#fail();
    else if (this.#state === 'grace') this.#reportTcpFailure();
    else this.#leaveToTcp();
  }

  #goOn(next: Dialed): void {
    this.#failure = undefined;
    clearTimeout(this.#timer);
    this.#transport.release();
    this.#transport = next.transport;
    this.#id = next.id;
    this.#begin();
  }

  #fail(): void {
    const { error, status } = this.#dial.failure;
    this.#finish();
    publishFailure({ socket: this.#call.socket, server: undefined, error }, this.#call);
    this.#complete(uvErrnoOf(status), false, false, error);
  }

  #leaveToTcp(): void {
    const { socket, address, port, handle, original, request } = this.#call;
    const tcpRuns = this.#state !== 'alone';
    this.#finish();
    noteFallback(socket, address, port, this.#dial.reason);
    if (tcpRuns) return;
    this.#dial.trace('begin', 'tcp');
    const status = original.call(handle, request, address, port);
    if (status !== 0) this.#complete(status, false, false);
  }

  #resetConnection(): void {
    if (this.#id >= 0) this.#transport.native.reset(this.#id);
    this.#id = -1;
  }

  // --- TCP ---------------------------------------------------------------------------------------

  #startTimer(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#onTimer, ms);
  }

  readonly #onTimer = (): void => {
    this.#timer = undefined;
    if (this.#isOver()) return;
    if (this.#state === 'grace') this.#reportTcpFailure();
    else if (this.#state === 'alone') this.#startBoth();
    else if (this.#state === 'held') this.#takeHeld();
  };

  #graceMs(): number {
    return Math.max(settings.headStartMs, GRACE_MS_MIN);
  }

  // TCP has not been answered, where RDMA has been: it may be filtered on the way.
  #takeHeld(): void {
    const isTcpConnected = this.#call.handle.getpeername({}) === 0;
    if (!isTcpConnected) this.#establish();
  }

  #startBoth(): void {
    this.#state = 'both';
    this.#dial.trace('begin', 'tcp');
    const { original, handle, request, address, port } = this.#call;
    const status = original.call(handle, request, address, port);
    if (status !== 0) this.#onTcpFailed({ status, readable: false, writable: false });
  }

  // Called by C++ in the context of the request.
  readonly #onTcpComplete: OnConnectComplete = (status, _handle, _request, readable, writable) => {
    if (this.#isOver() || (this.#state !== 'both' && this.#state !== 'held')) return;
    if (status !== 0) {
      this.#onTcpFailed({ status, readable, writable });
      return;
    }
    const { socket, address, port } = this.#call;
    const isSilent = this.#state === 'both' || this.#transport.name === 'local';
    const reason = isSilent ? this.#leaveSilent() : reasonFor('tcp-first');
    this.#resetConnection();
    this.#finish();
    noteFallback(socket, address, port, reason);
    this.#complete(0, readable, writable);
  };

  #onTcpFailed(failure: TcpFailure): void {
    this.#tcpFailure = failure;
    if (this.#state === 'held') {
      this.#establish();
      return;
    }
    this.#state = 'grace';
    this.#startGrace();
  }

  #startGrace(): void {
    this.#startTimer(this.#graceMs() + (this.#askedSinceMs === undefined ? OPENING_MS_MAX : 0));
  }

  // How long the peer had to answer may have been less than the head start: some of it goes by while
  // libraries and devices are being opened.
  #leaveSilent(): Reason {
    const since = this.#askedSinceMs;
    const askedMs = since === undefined ? undefined : performance.now() - since;
    const patienceMs = this.#graceMs();
    const isTelling = askedMs !== undefined && askedMs > patienceMs - TIMER_MS;
    const code = askedMs === undefined ? 'still-opening' : 'peer-silent';
    const reason = this.#dial.noteSilence(this.#transport, code);
    if (isTelling || this.#transport.name === 'local') this.#resetConnection();
    else new Probe(this.#transport, this.#id, this.#dial, patienceMs).start(askedMs);
    this.#id = -1;
    return reason;
  }

  #reportTcpFailure(): void {
    const failure = this.#tcpFailure;
    if (failure === undefined) return;
    const { socket, address, port } = this.#call;
    const reason = this.#failure === undefined ? this.#leaveSilent() : this.#dial.reason;
    this.#resetConnection();
    this.#finish();
    noteFallback(socket, address, port, reason);
    this.#complete(failure.status, failure.readable, failure.writable);
  }

  // --- The end -----------------------------------------------------------------------------------

  #complete(status: number, readable: boolean, writable: boolean, error?: Error): void {
    const { handle, request, socket } = this.#call;
    this.#oncomplete?.call(request, status, handle, request, readable, writable);
    const cause = error ?? this.#failure;
    if (status !== 0 && cause !== undefined) attachCauses(socket.errored, this.#call, cause);
  }

  // A socket that was destroyed and connected anew at once is told of the end of the former one.
  readonly #onSocketClose = (): void => {
    if (this.#call.socket.destroyed) this.#abandon();
  };

  // From destroy() to 'close', a turn later: its handle is closed, and libuv aborts the process if
  // that connects. If the socket connects again meanwhile it has another handle.
  #hasLostSocket(): boolean {
    const { socket, handle } = this.#call;
    const current = inside(socket)._handle;
    return socket.destroyed || (current?._parent ?? current) !== handle;
  }

  #abandon(): void {
    if (this.#state === 'done') return;
    this.#resetConnection();
    this.#finish();
  }

  #finish(): void {
    this.#state = 'done';
    attempts.delete(this.#call.handle);
    clearTimeout(this.#timer);
    this.#call.socket.removeListener('close', this.#onSocketClose);
    setOnComplete(this.#call.request, this.#oncomplete);
    this.#transport.release();
  }
}
