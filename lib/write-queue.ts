/** What one connection has to send: what waits for room, and what the device still reads. */

import { ringLater, type Bell } from './doorbell';
import { UV_EINVAL, UV_EPIPE, RdmaError, uvErrnoOf } from './errors';
import type { StreamRequest } from './internals';
import { KEPT, NOT_IN_PLACE, SENT, type Transport } from './native';
import { Status } from './native-status';
import { IN_PLACE_BYTES_MIN, registrationsOf, type Registrations } from './registrations';

/**
 * How many bytes of C++ may wait here after C++ has been told that they are written: what the
 * kernel's send buffer does for TCP. Without it two http2 sessions could wait for each other, since
 * they do not read while they write, and count on the buffers of TCP (up to 4 MiB on Linux).
 */
const SEND_BUFFER_BYTES = 1024 * 1024;

/** Copies of C++ that have been sent are freed at once if they are so large: smaller ones are cheap. */
const FREED_BYTES_MIN = 4096;

/** Result of {@link WriteQueue.tryWrite}: give the same chunks to {@link WriteQueue.push}. */
export const WAITS = 1;

interface PendingWrite {
  /** Undefined when its end has been reported. */
  request: StreamRequest | undefined;
  /** Kept until the end is reported: the device may read them until then. */
  readonly chunks: readonly Uint8Array[];
  /** Copies that C++ made for us: nobody changes them, and no other write comes from there. */
  readonly owned: boolean;
  /** The chunk that is sent next. */
  index: number;
  /** Bytes of it that have been taken. */
  offset: number;
  /** Bytes that have not been taken. */
  bytes: number;
  /** The last write in place that belongs to it, counted from 1; 0 for none. */
  inPlace: number;
  /** What is reported when all of these are complete. */
  status: number;
}

/** A write of C++ whose end has to be reported. */
export interface EndedWrite {
  readonly request: StreamRequest;
  /** 0 or a negative errno. */
  readonly status: number;
}

function isOfConnection(status: Status): boolean {
  return status >= 100 && status < 200 && status !== Status.BrokenPipe;
}

/**
 * Writes of one connection, in order.
 *
 *     push -> waiting --taken--> unsent --Sent--> ended       with bytes in place
 *                     --taken-------------------> ended       copied, and unsent is empty
 *
 * Bytes that are copied belong to the program again when the transport has taken them. Those that
 * are sent from where they are do so when `Sent` has counted them, and only then does their write
 * end: also when it was canceled, since until `Closed` the device may read them.
 */
export class WriteQueue implements Bell {
  readonly #transport: Transport;
  readonly #id: number;
  readonly #registrations: Registrations;
  readonly #waiting: PendingWrite[] = [];
  readonly #unsent: PendingWrite[] = [];
  readonly #ended: EndedWrite[] = [];
  #bytesWritten = 0;
  #pendingBytes = 0;
  /** Bytes of each write in place that is not complete. */
  readonly #inPlaceSizes: number[] = [];
  #inPlaceBytes = 0;
  #inPlaceTaken = 0;
  /** Where {@link tryWrite} stopped, and the last write in place that it made. */
  #resumeIndex = 0;
  #resumeOffset = 0;
  #resumeInPlace = 0;
  /** After a short write, until the transport says that there is room. */
  #full = false;
  /** From the first copied write of a tick to {@link ring}. */
  #bellAsked = false;
  /** One has left already in this tick, and what comes after it is held back. */
  #hasLeft = false;
  #heldBack = false;
  #peerClosed = false;
  /** While that is sent which had to wait for room. */
  #hasWaited = false;
  #failure: RdmaError | undefined;
  #gone = false;

  constructor(transport: Transport, id: number) {
    this.#transport = transport;
    this.#id = id;
    this.#registrations = registrationsOf(transport);
  }

  /** Bytes accepted from the program, those that wait included: as libuv counts. */
  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  /** Bytes that wait for room. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** The same with those that were taken in place, and not sent yet. */
  get unsentBytes(): number {
    return this.#pendingBytes + this.#inPlaceBytes;
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
   * @returns 0 when it has ended, a negative errno, or {@link WAITS}
   */
  tryWrite(chunks: readonly Uint8Array[]): number {
    if (this.#failure !== undefined && this.#failure.status !== Status.BrokenPipe) {
      return uvErrnoOf(this.#failure.status);
    }
    this.#resumeIndex = 0;
    this.#resumeOffset = 0;
    this.#resumeInPlace = 0;
    if (this.#full || this.#waiting.length > 0 || this.#unsent.length > 0) return WAITS;
    const before = this.#inPlaceTaken;
    let index = 0;
    let taken = 0;
    for (; index < chunks.length; index++) {
      const chunk = chunks[index];
      if (chunk === undefined || this.#isEmpty(chunk)) continue;
      taken = this.#send(chunk, 0, false, index + 1 < chunks.length);
      if (taken < 0) return taken;
      this.#bytesWritten += taken;
      if (taken < chunk.byteLength) break;
      taken = 0;
    }
    if (this.#inPlaceTaken > before) this.#resumeInPlace = this.#inPlaceTaken;
    else if (index === chunks.length) return 0;
    this.#resumeIndex = index;
    this.#resumeOffset = taken;
    return WAITS;
  }

  /**
   * Puts a write at the end, and sends what can be sent.
   * @param owned true when the chunks are copies that nobody else uses, so that the end of the
   *   write may be reported before they are sent; false for what {@link tryWrite} has just begun
   */
  push(request: StreamRequest, chunks: readonly Uint8Array[], owned: boolean): void {
    const index = owned ? 0 : this.#resumeIndex;
    const offset = owned ? 0 : this.#resumeOffset;
    const inPlace = owned ? 0 : this.#resumeInPlace;
    let bytes = -offset;
    for (let at = index; at < chunks.length; at++) bytes += chunks[at]?.byteLength ?? 0;
    this.#bytesWritten += bytes;
    this.#pendingBytes += bytes;
    const write = { request, chunks, owned, index, offset, bytes, inPlace, status: 0 };
    this.#waiting.push(write);
    this.flush();
    const isTaken = this.#waiting[this.#waiting.length - 1] !== write;
    if (!isTaken && owned && this.#pendingBytes <= SEND_BUFFER_BYTES) this.#report(write);
  }

  /** There is room again. */
  noteRoom(): void {
    this.#full = false;
    this.#hasWaited = true;
    this.flush();
    this.#hasWaited = false;
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
      this.#finish(write);
    }
  }

  /**
   * @param count writes in place that are complete, since the last call
   * @param lost how many of these, the last ones, were not sent to their end
   */
  noteSent(count: number, lost = 0): void {
    for (const bytes of this.#inPlaceSizes.splice(0, count)) this.#inPlaceBytes -= bytes;
    const sent = this.#inPlaceTaken - this.#inPlaceSizes.length - lost;
    if (lost > 0) {
      for (const write of this.#unsent) if (write.inPlace > sent) write.status ||= UV_EPIPE;
    }
    this.#reportSent();
  }

  /** Ends all with an error: nothing is sent any more. */
  fail(failure: RdmaError): void {
    this.#failure = failure;
    this.#drop(uvErrnoOf(failure.status), 0);
    for (const write of this.#unsent) write.status ||= uvErrnoOf(failure.status);
    this.end();
  }

  /**
   * Gives up the writes whose end has not been reported. What C++ was told to be written is still
   * sent, unless something before it is missing.
   */
  cancel(uvErrno: number): void {
    for (const write of this.#unsent) write.status ||= uvErrno;
    const first = this.#waiting.findIndex(({ request }) => request !== undefined);
    if (first >= 0) this.#drop(uvErrno, first);
  }

  /** The transport is going to be told to close the connection, and does not know it afterwards. */
  leave(): void {
    this.#gone = true;
  }

  /** Nobody reads the memory of writes any more, sent or not. */
  end(): void {
    this.#inPlaceSizes.length = 0;
    this.#inPlaceBytes = 0;
    this.#reportSent();
  }

  /**
   * Takes the end of the write that was pushed last, if it has ended already.
   * @returns 0 or a negative errno, or undefined when it has not
   */
  takeEndOf(request: StreamRequest): number | undefined {
    if (this.#ended[this.#ended.length - 1]?.request !== request) return undefined;
    return this.#ended.pop()?.status;
  }

  /** Takes a write whose end has to be reported. */
  takeEnded(): EndedWrite | undefined {
    return this.#ended.shift();
  }

  ring(): void {
    this.#bellAsked = false;
    this.#hasLeft = false;
    if (this.#heldBack && !this.#gone) this.#transport.flush(this.#id);
    this.#heldBack = false;
  }

  #report(write: PendingWrite): void {
    const { request, status } = write;
    write.request = undefined;
    if (request !== undefined) this.#ended.push({ request, status });
  }

  #finish(write: PendingWrite): void {
    if (write.owned) this.#free(write.chunks);
    this.#unsent.push(write);
    this.#reportSent();
  }

  // Left to collection they grow the heap by what is sent in between, which the C library then gives
  // back to the kernel, page by page, and takes again.
  #free(copies: readonly Uint8Array[]): void {
    for (const { buffer, byteLength } of copies) {
      const isWhole = byteLength === buffer.byteLength;
      if (isWhole && byteLength >= FREED_BYTES_MIN) this.#transport.free(buffer);
    }
  }

  #reportSent(): void {
    const complete = this.#inPlaceTaken - this.#inPlaceSizes.length;
    for (;;) {
      const [write] = this.#unsent;
      if (write === undefined || write.inPlace > complete) return;
      this.#unsent.shift();
      this.#report(write);
    }
  }

  #drop(status: number, from: number): void {
    for (const write of this.#waiting.splice(from)) {
      write.status = status;
      this.#pendingBytes -= write.bytes;
      this.#finish(write);
    }
  }

  /** 0 when all of it was taken, a negative errno, or undefined when there is no more room. */
  #sendSome(write: PendingWrite): number | undefined {
    const { chunks } = write;
    const before = this.#inPlaceTaken;
    let status: number | undefined = 0;
    for (; write.index < chunks.length; write.index++, write.offset = 0) {
      const chunk = chunks[write.index];
      if (chunk === undefined || chunk.byteLength <= write.offset) continue;
      const isLast = write.index + 1 === chunks.length;
      const taken = this.#send(chunk, write.offset, write.owned, !isLast);
      status = taken < 0 ? taken : undefined;
      if (taken < 0) break;
      write.offset += taken;
      write.bytes -= taken;
      this.#pendingBytes -= taken;
      if (write.offset < chunk.byteLength) break;
      status = 0;
    }
    if (this.#inPlaceTaken > before) write.inPlace = this.#inPlaceTaken;
    // An ArrayBuffer was transferred while its bytes waited here: they are gone, and the stream must
    // not go on as if they had never been.
    return status === 0 && write.bytes > 0 ? UV_EINVAL : status;
  }

  #isEmpty(chunk: Uint8Array): boolean {
    if (chunk.byteLength > 0) return false;
    this.#registrations.noteDetached(chunk.buffer);
    return true;
  }

  /**
   * Bytes taken, or a negative errno. What is copied in a tick leaves together, but for its first
   * write: whoever waits for an answer gets that as soon as it is there.
   * @param more true when the same write has more chunks
   */
  #send(chunk: Uint8Array, offset: number, owned: boolean, more: boolean): number {
    const length = chunk.byteLength - offset;
    if (length >= IN_PLACE_BYTES_MIN && !owned) {
      const taken = this.#sendInPlace(chunk, offset, length);
      if (taken !== NOT_IN_PLACE) return taken;
    }
    const waits = more || this.#hasLeft;
    const taken = this.#transport.write(this.#id, chunk, offset, length, waits);
    if (taken < 0) return this.#refused(-taken as Status, length);
    this.#full = taken < length;
    this.#heldBack = waits;
    this.#hasLeft ||= !waits;
    if (!this.#bellAsked) {
      this.#bellAsked = true;
      ringLater(this);
    }
    return taken;
  }

  /** As {@link #send}, or NOT_IN_PLACE. */
  #sendInPlace(chunk: Uint8Array, offset: number, length: number): number {
    const { buffer } = chunk;
    const registration = this.#registrations.find(buffer);
    const taken = this.#transport.writeInPlace(this.#id, chunk, offset, length, registration);
    if (taken === SENT) return length;
    if (taken === KEPT) {
      this.#registrations.noteMiss(buffer);
      return this.#noteInPlace(length);
    }
    if (taken === NOT_IN_PLACE) {
      // Once a write: the rest of one that was copied in part is not another.
      if (offset === 0) this.#registrations.noteMiss(buffer);
      return NOT_IN_PLACE;
    }
    if (taken < 0) return this.#refused(-taken as Status, length);
    this.#full = taken < length;
    if (taken === 0) return 0;
    if (registration !== 0) this.#registrations.noteHit();
    return this.#noteInPlace(taken);
  }

  #noteInPlace(bytes: number): number {
    this.#inPlaceTaken++;
    this.#inPlaceSizes.push(bytes);
    this.#inPlaceBytes += bytes;
    return bytes;
  }

  /** Bytes that count as taken, or a negative errno. */
  #refused(status: Status, length: number): number {
    // The connection has broken: the event that is on its way says why, and ends what waits.
    if (isOfConnection(status)) {
      this.#full = true;
      return 0;
    }
    this.#failure ??= new RdmaError(status);
    if (status !== Status.BrokenPipe) return uvErrnoOf(status);
    // The rest of a write that did not fit is refused, for the reset is there before there is room.
    if (this.#peerClosed || this.#hasWaited) return UV_EPIPE;
    // TCP takes what is written after the peer has closed, and learns a moment later from the
    // peer's reset that it was lost. Programs stand on it: they write, then read the end.
    setImmediate(() => {
      this.#peerClosed = true;
    });
    return length;
  }
}
