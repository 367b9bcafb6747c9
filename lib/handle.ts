/**
 * The handle of a socket on RDMA or shared memory: it stands in `socket._handle` where libuv's TCP
 * handle would be.
 *
 * It extends Node's JSStream, which is a C++ StreamBase: TLS, http2 and the http parser take it as
 * they take a TCP handle. What they write comes to `onwrite`, what they read goes in by
 * `readBuffer`. As long as none of them has taken it, JavaScript is the reader and the writer, and
 * then no byte passes C++ of Node: writes complete at once through `streamBaseState`, and what was
 * read goes to `onread` as C++ would call it.
 *
 *     socket.write -> writeChunks --all copied--> done, status 0
 *                         | part taken, or in place
 *                         v
 *              requestWrite -> onwrite -> queue -> Writable, Sent -> finishWrite -> callback
 */

import { AsyncResource } from 'node:async_hooks';
import type { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { closeLater } from './closing';
import { describe, inspect, type ConnectionInfo, type Inspection } from './connection-info';
import { publishFailure } from './diagnostics';
import { own } from './encode';
import { copyEndpoint } from './endpoint';
import { RdmaError, UV_EBADF, UV_ECANCELED, UV_ENOTCONN, attachCause, uvErrnoOf } from './errors';
import { kSource, noteSource, type Source } from './info';
import { isUnderTls, ownerOf, streamInternals, type StreamRequest } from './internals';
import type { TransportName } from './mode';
import { EventKind, type DetailKind, type Endpoint, type Transport } from './native';
import type { Status } from './native-status';
import { ReadSide } from './read-side';
import { SendingEnd } from './sending-end';
import { TcpFace } from './tcp-face';
import {
  continueInNextTurn,
  continueLater,
  deliverAfterEvents,
  deliverInNextTurn,
  readersWait,
  type Carrier,
  type Continuation,
  type EventSink,
  type Reader,
} from './transport';
import { WAITS, WriteQueue } from './write-queue';

const { streamBaseState, kBytesWritten, kLastWriteWasAsync } = streamInternals();

/**
 * What C++ is told of a write that has ended before it returns. Any number but 0 means that no end
 * will be reported, and only negative ones are errors. http2 needs it: while a write is under way it
 * queues, and a stream that is reset takes its queued response with it. TLS takes every such number
 * for an error, and has to wait for a later turn, as it does over TCP.
 */
const WRITTEN = 1;

/** After how many idle seconds Linux sends keepalives unless told otherwise, and what it takes. */
const KEEP_ALIVE_S = 7200;
const KEEP_ALIVE_S_MAX = 32_767;

/** One connection as a handle of `net`. Its methods are those of TCPWrap. */
export class StreamHandle extends TcpFace implements EventSink, Continuation, Reader, Source {
  /** Since when it is connected, on the clock of performance.now(). */
  readonly sinceMs = performance.now();
  #scope: AsyncResource;
  readonly #id: number;
  readonly #inIpv6: boolean;
  readonly #carrier: Carrier;
  readonly #transport: Transport;
  readonly #reads: ReadSide;
  readonly #writes: WriteQueue;
  readonly #end: SendingEnd;

  /** `soon`: somebody has begun to read; `yes`: a turn ago, or more. */
  #delivers: 'no' | 'soon' | 'yes' = 'no';
  /** Chunks that `onwrite` takes in place of the copies that C++ made. */
  #handedOver: Uint8Array[] | undefined;

  #failure: RdmaError | undefined;
  #closed = false;
  #gone = false;
  #referenced = true;
  #retained = false;
  #keepsAlive = false;
  #inspection: Inspection | undefined;

  /**
   * @param id an established connection
   * @param scope the context in which the program's listeners are called
   * @param address where the connection was made to, or accepted, as it was written
   */
  constructor(carrier: Carrier, id: number, scope: AsyncResource, address: string) {
    super();
    const transport = carrier.native;
    this.#carrier = carrier;
    this.#transport = transport;
    this.#id = id;
    this.#scope = scope;
    this.#inIpv6 = address.includes(':');
    this.#reads = new ReadSide(transport, id, this);
    this.#writes = new WriteQueue(transport, id);
    this.#end = new SendingEnd(transport, id, this.#writes, this);
  }

  // --- What net.js and other JavaScript of Node call -------------------------------------------

  get bytesRead(): number {
    return this.#reads.bytesRead;
  }

  get bytesWritten(): number {
    return this.#writes.bytesWritten;
  }

  /** Bytes that have not been sent; net.js looks at it before it emits 'timeout'. */
  get writeQueueSize(): number {
    return this.#writes.unsentBytes;
  }

  /** Whoever is going to take the handle in C++ asks this first, if it asks us. */
  get isStreamBase(): boolean {
    this.#reads.takeByNative();
    return true;
  }

  readStart(): number {
    this.#reads.start();
    this.#updateRetained();
    // Never from inside of this call: net.js does not expect data before it returns.
    if (this.#delivers === 'no') this.#beginToDeliver();
    this.#deliverLater();
    return 0;
  }

  readStop(): number {
    this.#reads.stop();
    this.#updateRetained();
    return 0;
  }

  /** The option `onread`: what is read goes into this buffer. */
  useUserBuffer(buffer: Uint8Array): number {
    this.#reads.useUserBuffer(buffer);
    return 0;
  }

  /** @param delayS seconds without traffic before the first one; 0 for the system's default */
  setKeepAlive(enable: boolean, delayS: number): number {
    if (this.#closed) return 0;
    this.#transport.setKeepAlive(this.#id, enable ? keepAliveMs(delayS) : 0);
    this.#keepsAlive = enable;
    return 0;
  }

  /** Sends what was taken and disconnects; `callback` comes in the next turn. */
  close(callback?: () => void): void {
    this.#close(callback, false);
  }

  /** Drops what was not sent; the peer sees a reset. */
  reset(callback?: () => void): number {
    this.#close(callback, true);
    return 0;
  }

  hasRef(): boolean {
    return this.#referenced && !this.#gone;
  }

  ref(): void {
    this.#referenced = true;
    this.#updateRetained();
  }

  unref(): void {
    this.#referenced = false;
    this.#updateRetained();
  }

  getsockname(out: Partial<Endpoint>): number {
    // The id of a closed connection may be that of another one by now.
    const endpoint = this.#closed ? undefined : this.#transport.localEndpoint(this.#id);
    return copyEndpoint(out, endpoint, this.#inIpv6);
  }

  getpeername(out: Partial<Endpoint>): number {
    const endpoint = this.#closed ? undefined : this.#transport.remoteEndpoint(this.#id);
    return copyEndpoint(out, endpoint, this.#inIpv6);
  }

  /** What the program's listeners run in: the socket is known by it, as one on TCP by its handle. */
  override getAsyncId(): number {
    const id = this.#scope.asyncId();
    // Node counts in floating point. Kept so, it would change the hidden class of every socket.
    const whole = id | 0;
    return whole === id ? whole : id;
  }

  /** The http agent gives a kept-alive socket the context of its next request. */
  override asyncReset(resource: object): void {
    super.asyncReset(resource);
    this.#scope = new AsyncResource('RDMASTREAM');
  }

  // --- What Node's C++ side calls --------------------------------------------------------------

  isClosing(): boolean {
    return this.#closed;
  }

  onreadstart(): number {
    return this.readStart();
  }

  onreadstop(): number {
    return this.readStop();
  }

  onwrite(request: StreamRequest, copies: Uint8Array[]): number {
    const handedOver = this.#handedOver;
    this.#handedOver = undefined;
    if (this.#closed) return UV_EBADF;
    if (this.#failure !== undefined) return uvErrnoOf(this.#failure.status);
    this.#writes.push(request, handedOver ?? copies, handedOver === undefined);
    if (handedOver === undefined && !isUnderTls(this)) {
      const status = this.#writes.takeEndOf(request);
      if (status !== undefined) return status === 0 ? WRITTEN : status;
    }
    // Nobody expects the end of a write before the write has returned.
    if (this.#writes.hasEnded) continueLater(this);
    this.#updateRetained();
    return 0;
  }

  onshutdown(request: StreamRequest): number {
    if (this.#failure !== undefined || this.#closed) return UV_ENOTCONN;
    const status = this.#end.shutDown(request);
    this.#updateRetained();
    return status;
  }

  // --- Events ----------------------------------------------------------------------------------

  get scope(): AsyncResource {
    return this.#scope;
  }

  handleEvent(kind: EventKind, _id: number, a: number, b: number, c: number): void {
    switch (kind) {
      case EventKind.Readable:
        this.#reads.announce(a);
        break;
      case EventKind.Writable:
        this.#writes.noteRoom();
        break;
      case EventKind.Sent:
        this.#writes.noteSent(a, b);
        break;
      case EventKind.End:
        this.#reads.end();
        break;
      case EventKind.ShutdownDone:
        this.#end.finish(0);
        break;
      case EventKind.Failed:
        this.#fail(new RdmaError(a as Status, b, c as DetailKind));
        break;
      case EventKind.Closed:
        this.#gone = true;
        this.#writes.end();
        break;
      case EventKind.Response:
      case EventKind.ConnectFailed:
      case EventKind.Accepted:
      case EventKind.Listening:
      case EventKind.ListenFailed:
      case EventKind.Opened:
        return;
    }
    this.#continue(true);
  }

  /** Does everything that can be done now; only from the event loop and in {@link scope}. */
  continueTurn(): void {
    this.#continue(false);
  }

  deliverToReader(): void {
    const reads = this.#reads;
    try {
      if (reads.hasToDeliverToNative) reads.deliver(true);
      else if (reads.hasToDeliver) {
        this.#scope.runInAsyncScope(() => {
          reads.deliver(false);
        });
      }
    } finally {
      this.#updateRetained();
      this.#deliverLater();
    }
  }

  #continue(isEvent: boolean): void {
    const isForNative = this.#reads.hasToDeliverToNative;
    // What comes after something for C++ waits with it: all is read in the order of the events.
    const isQueued = isEvent && (isForNative || readersWait());
    try {
      // As libuv does: who reads learns of a broken connection before who writes. If that closes
      // the socket, its writes end when it has closed.
      const mayClose = this.#failure !== undefined && !this.#closed;
      if (mayClose) this.#reads.deliver(true);
      if (!mayClose || !this.#closed) this.#finishWrites();
      this.#end.continueClose();
      if (this.#delivers === 'yes' && !isForNative && !isQueued) this.#reads.deliver(!isEvent);
    } finally {
      this.#updateRetained();
      // Also after a listener has thrown: its stream goes on, as with TCP.
      if (this.#writes.hasEnded) continueLater(this);
      if (isQueued && this.#delivers === 'yes' && this.#reads.hasToDeliver)
        deliverAfterEvents(this);
      else this.#deliverLater();
    }
  }

  // The first bytes from TCP come a turn after 'connect', when what was written then has left: http2
  // gathers it, and would put off requests if it had read by then that the server wants fewer.
  #beginToDeliver(): void {
    this.#delivers = 'soon';
    continueInNextTurn({
      scope: this.#scope,
      continueTurn: () => {
        this.#delivers = 'yes';
        this.#continue(false);
      },
    });
  }

  #deliverLater(): void {
    if (this.#delivers !== 'yes') return;
    if (this.#reads.hasToDeliverToNative) deliverInNextTurn(this, this.#carrier);
    else if (this.#reads.hasToDeliver) continueLater(this);
  }

  get [kSource](): TransportName {
    return this.#carrier.name;
  }

  /** Device, peer and counters; after the end, those of the end. */
  connectionInfo(): ConnectionInfo | undefined {
    this.#inspect();
    return this.#inspection && describe(this.#inspection);
  }

  #inspect(): void {
    if (!this.#closed) this.#inspection = inspect(this.#transport, this.#id) ?? this.#inspection;
  }

  #fail(failure: RdmaError): void {
    if (this.#failure !== undefined) return;
    this.#failure = failure;
    this.#writes.fail(failure);
    if (this.#closed) return;
    this.#reads.fail(failure);
    const socket = ownerOf(this) as Socket | undefined;
    // That of the self-check is none of the program's.
    if (socket !== undefined && this.#id >= 0) {
      const peer = this.#transport.remoteEndpoint(this.#id);
      publishFailure({ socket, server: undefined, error: failure }, peer);
    }
    this.#end.finish(uvErrnoOf(failure.status));
  }

  // --- Writing ---------------------------------------------------------------------------------

  protected override writeChunks(
    request: StreamRequest | null,
    chunks: Uint8Array[],
    bytes: number,
  ): StreamRequest | number {
    const status = this.#closed ? UV_EBADF : this.#writes.tryWrite(chunks);
    if (status !== WAITS) {
      if (status < 0) this.#attachCauseLater();
      streamBaseState[kBytesWritten] = status === 0 ? bytes : 0;
      streamBaseState[kLastWriteWasAsync] = 0;
      return status;
    }
    this.#handedOver = own(chunks);
    const result = this.requestWrite(request);
    streamBaseState[kBytesWritten] = bytes;
    return result;
  }

  // The error is made after we have returned its number, and shown to listeners still later.
  #attachCauseLater(): void {
    process.nextTick(() => {
      this.#attachCause();
    });
  }

  #attachCause(): void {
    const failure = this.#failure ?? this.#writes.failure;
    const owner = ownerOf(this) as Socket | undefined;
    if (failure !== undefined) attachCause(owner?.errored, failure);
  }

  #finishWrites(): void {
    for (let end = this.#writes.takeEnded(); end !== undefined; end = this.#writes.takeEnded()) {
      this.finishWrite(end.request, end.status);
      if (end.status < 0) this.#attachCause();
    }
    this.#end.continueShutdown();
  }

  // --- The end ---------------------------------------------------------------------------------

  #close(callback: (() => void) | undefined, abortive: boolean): void {
    if (!this.#closed) this.#closeOnce(abortive);
    closeLater(this.#scope, () => {
      // As libuv does: what still waits is cancelled before the close callback.
      this.#finishWrites();
      this.#end.finish(UV_ECANCELED);
      callback?.call(this);
    });
  }

  #closeOnce(abortive: boolean): void {
    this.#inspect();
    const owner = ownerOf(this);
    if (owner !== undefined) noteSource(owner, this);
    // What is asked for by an id would hold for the connection that has the same one after this.
    if (this.#keepsAlive) this.#transport.setKeepAlive(this.#id, 0);
    this.#closed = true;
    // The peer of a TCP socket that is closed before it was read is told so by a reset.
    const unread = this.#reads.hasUnread;
    this.#reads.close();
    this.#writes.cancel(UV_ECANCELED);
    this.#end.close(abortive || unread);
    this.#updateRetained();
  }

  // As with libuv, only what is under way holds the process: a paused socket does not, and requests
  // do even of an unreferenced one. A closed one still does until the peer has what was sent.
  #updateRetained(): void {
    const hasRequest = this.#end.isRequested || this.#writes.unsentBytes > 0;
    const isHeld = this.#referenced && (this.#reads.wanted || this.#closed);
    const wanted = !this.#gone && (isHeld || (hasRequest && !this.#closed));
    if (wanted === this.#retained) return;
    this.#retained = wanted;
    if (wanted) this.#carrier.retain();
    else this.#carrier.release();
  }
}

function keepAliveMs(delayS: number): number {
  return 1000 * (delayS > 0 ? Math.min(delayS, KEEP_ALIVE_S_MAX) : KEEP_ALIVE_S);
}
