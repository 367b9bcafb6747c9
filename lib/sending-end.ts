/** How the sending side of a connection ends. */

import { UV_ENOTCONN } from './errors';
import type { StreamRequest } from './internals';
import type { Transport } from './native';
import { Status } from './native-status';
import type { WriteQueue } from './write-queue';

/** How long a closed handle goes on sending what C++ was told to be written, in milliseconds. */
const LINGER_MS = 30_000;

/** Who is told that a shutdown is over: the handle. */
interface Finisher {
  finishShutdown(request: StreamRequest, status: number): void;
}

/**
 * The end of what one connection sends: a shutdown, which follows the last byte, or the close.
 *
 *     shutDown -> last byte taken -> transport.shutdown -> ShutdownDone -> finish -> callback
 *     close ----> last byte taken, or 30 s -> transport.close, or reset
 */
export class SendingEnd {
  readonly #transport: Transport;
  readonly #id: number;
  readonly #writes: WriteQueue;
  readonly #finisher: Finisher;
  #request: StreamRequest | undefined;
  /** The transport knows that nothing follows. */
  #begun = false;
  #linger: NodeJS.Timeout | undefined;

  constructor(transport: Transport, id: number, writes: WriteQueue, finisher: Finisher) {
    this.#transport = transport;
    this.#id = id;
    this.#writes = writes;
    this.#finisher = finisher;
  }

  /** Whether a shutdown is under way. */
  get isRequested(): boolean {
    return this.#request !== undefined;
  }

  /** Has the sending side shut down; {@link finish} follows, unless it returns an error. */
  shutDown(request: StreamRequest): number {
    // As libuv says of a second one: it would wait for an end that has been reported.
    if (this.#request !== undefined || this.#begun) return UV_ENOTCONN;
    if (!this.#begin()) return UV_ENOTCONN;
    this.#request = request;
    return 0;
  }

  /** Goes on with a shutdown when there is less to send. */
  continueShutdown(): void {
    if (this.#request !== undefined && !this.#begin()) this.finish(UV_ENOTCONN);
  }

  /** Tells that the shutdown, if there is one, is over. */
  finish(status: number): void {
    const request = this.#request;
    this.#request = undefined;
    if (request !== undefined) this.#finisher.finishShutdown(request, status);
  }

  /** Closes the connection; without `abortive` when what was taken from C++ has been sent. */
  close(abortive: boolean): void {
    this.#begun = true;
    if (abortive) this.#reset();
    else if (this.#writes.pendingBytes === 0) this.#leave();
    else {
      // What holds the event loop, if anything, is the connection.
      this.#linger = setTimeout(() => {
        this.#reset();
      }, LINGER_MS).unref();
    }
  }

  /** Goes on with the close when there is less to send: TCP's kernel would do that. */
  continueClose(): void {
    if (this.#linger !== undefined && this.#writes.pendingBytes === 0) this.#leave();
  }

  // After the last byte was taken; false when the peer is gone.
  #begin(): boolean {
    if (this.#begun || this.#writes.pendingBytes > 0) return true;
    this.#begun = true;
    return this.#transport.shutdown(this.#id) === Status.Ok;
  }

  #reset(): void {
    this.#linger = undefined;
    this.#writes.leave();
    this.#transport.reset(this.#id);
  }

  #leave(): void {
    clearTimeout(this.#linger);
    this.#linger = undefined;
    this.#writes.leave();
    this.#transport.close(this.#id);
  }
}
