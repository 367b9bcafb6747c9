/** What waits for room in the send memory of one connection. */

import { UV_EPIPE, RdmaError, uvErrnoOf } from './errors';
import type { StreamRequest } from './internals';
import type { Transport } from './native';
import { Status } from './status';

/**
 * How many bytes of C++ may wait here after C++ has been told that they are written: what the
 * kernel's send buffer does for TCP. Without it two http2 sessions could wait for each other, since
 * they do not read while they write, and count on the buffers of TCP (up to 4 MiB on Linux).
 */
const SEND_BUFFER_BYTES = 1024 * 1024;

interface PendingWrite {
  /** Undefined when its end has been reported. */
  request: StreamRequest | undefined;
  readonly chunks: readonly Uint8Array[];
  /** The chunk that is sent next. */
  index: number;
  /** Bytes of it that have been sent. */
  offset: number;
}

/** A write of C++ whose end has to be reported. */
export interface EndedWrite {
  readonly request: StreamRequest;
  /** 0 or a negative errno. */
  readonly status: number;
}

/** Writes of one connection, in order. */
export class WriteQueue {
  readonly #transport: Transport;
  readonly #id: number;
  readonly #waiting: PendingWrite[] = [];
  readonly #ended: EndedWrite[] = [];
  #bytesWritten = 0;
  #pendingBytes = 0;
  /** After a short write, until the transport says that there is room. */
  #full = false;
  #peerClosed = false;
  #failure: RdmaError | undefined;

  constructor(transport: Transport, id: number) {
    this.#transport = transport;
    this.#id = id;
  }

  /** Bytes accepted from the program, those that wait included: as libuv counts. */
  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  /** Bytes that wait. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Whether {@link takeEnded} has something. */
  get hasEnded(): boolean {
    return this.#ended.length > 0;
  }

  /** Why nothing can be sent, if that is so. */
  get failure(): RdmaError | undefined {
    return this.#failure;
  }

  /**
   * Sends without a request, as far as there is room and nothing waits.
   * @returns 0 when all was taken, a negative errno, or the chunks that must wait: give them to
   *   {@link push}
   */
  tryWrite(chunks: Uint8Array[]): number | Uint8Array[] {
    if (this.#failure !== undefined && this.#failure.status !== Status.BrokenPipe) {
      return uvErrnoOf(this.#failure.status);
    }
    if (this.#waiting.length > 0 || this.#full) return chunks;
    for (let index = 0; index < chunks.length; index++) {
      const chunk = chunks[index];
      if (chunk === undefined || chunk.byteLength === 0) continue;
      const taken = this.#send(chunk, 0, index < chunks.length - 1);
      if (taken < 0) return taken;
      this.#bytesWritten += taken;
      if (taken < chunk.byteLength) return [chunk.subarray(taken), ...chunks.slice(index + 1)];
    }
    return 0;
  }

  /**
   * Puts a write at the end, and sends what can be sent.
   * @param owned true when the chunks are copies that nobody else uses, so that the end of the
   *   write may be reported before they are sent
   */
  push(request: StreamRequest, chunks: readonly Uint8Array[], owned: boolean): void {
    let bytes = 0;
    for (const chunk of chunks) bytes += chunk.byteLength;
    this.#bytesWritten += bytes;
    this.#pendingBytes += bytes;
    const write: PendingWrite = { request, chunks, index: 0, offset: 0 };
    this.#waiting.push(write);
    this.flush();
    const isSent = this.#waiting[this.#waiting.length - 1] !== write;
    if (!isSent && owned && this.#pendingBytes <= SEND_BUFFER_BYTES) this.#report(write, 0);
  }

  /** There is room again. */
  noteRoom(): void {
    this.#full = false;
    this.flush();
  }

  /** Sends what waits, as far as there is room. */
  flush(): void {
    while (!this.#full) {
      const [write] = this.#waiting;
      if (write === undefined) return;
      const status = this.#sendSome(write);
      if (status === undefined) return;
      if (status < 0) {
        this.#drop(status, 0);
        return;
      }
      this.#waiting.shift();
      this.#report(write, 0);
    }
  }

  /** Ends all that waits with an error. */
  fail(failure: RdmaError): void {
    this.#failure = failure;
    this.#drop(uvErrnoOf(failure.status), 0);
  }

  /**
   * Gives up the writes whose end has not been reported. What C++ was told to be written is still
   * sent, unless something before it is missing.
   */
  cancel(uvErrno: number): void {
    const first = this.#waiting.findIndex(({ request }) => request !== undefined);
    if (first >= 0) this.#drop(uvErrno, first);
  }

  /** Takes a write whose end has to be reported. */
  takeEnded(): EndedWrite | undefined {
    return this.#ended.shift();
  }

  #report(write: PendingWrite, status: number): void {
    const { request } = write;
    write.request = undefined;
    if (request !== undefined) this.#ended.push({ request, status });
  }

  #drop(status: number, from: number): void {
    for (const write of this.#waiting.splice(from)) {
      this.#report(write, status);
      this.#pendingBytes += write.offset;
      for (let at = write.index; at < write.chunks.length; at++) {
        this.#pendingBytes -= write.chunks[at]?.byteLength ?? 0;
      }
    }
  }

  /** 0 when all of it was sent, a negative errno, or undefined when there is no more room. */
  #sendSome(write: PendingWrite): number | undefined {
    const { chunks } = write;
    for (; write.index < chunks.length; write.index++, write.offset = 0) {
      const chunk = chunks[write.index];
      if (chunk === undefined || chunk.byteLength === write.offset) continue;
      const taken = this.#send(chunk, write.offset, write.index < chunks.length - 1);
      if (taken < 0) return taken;
      write.offset += taken;
      this.#pendingBytes -= taken;
      if (write.offset < chunk.byteLength) return undefined;
    }
    return 0;
  }

  /** Bytes taken, or a negative errno. */
  #send(chunk: Uint8Array, offset: number, more: boolean): number {
    const length = chunk.byteLength - offset;
    const taken = this.#transport.write(this.#id, chunk, offset, length, more);
    if (taken >= 0) {
      this.#full = taken < length;
      return taken;
    }
    const status = -taken as Status;
    this.#failure ??= new RdmaError(status);
    if (status !== Status.BrokenPipe) return uvErrnoOf(status);
    if (this.#peerClosed) return UV_EPIPE;
    // TCP takes what is written after the peer has closed, and learns a moment later from the
    // peer's reset that it was lost. Programs stand on it: they write, then read the end.
    setImmediate(() => {
      this.#peerClosed = true;
    });
    return length;
  }
}
