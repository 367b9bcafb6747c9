/** What arrives on one connection, on its way to whoever reads the handle. */

import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { UV_EOF, attachCause, uvErrnoOf, type RdmaError } from './errors';
import { inside, ownerOf, streamInternals, type JSStreamHandle, type OnRead } from './internals';
import type { Transport } from './native';

const { streamBaseState, kReadBytesOrError, kArrayBufferOffset } = streamInternals();

/** Largest piece handed to a reader at once, in bytes: what libuv reads from TCP at once. */
const CHUNK_BYTES = 64 * 1024;
/** How many such pieces one stream gets in a turn before the others come. */
const CHUNKS_PER_TURN = 16;
/** Fewer readable bytes are copied: that is cheaper than an ArrayBuffer over the native memory. */
const IN_PLACE_BYTES_MIN = 16 * 1024;

// readBuffer copies before it returns, so that one is enough for all streams.
let scratch: Buffer | undefined;

/**
 * Bytes, then the end or an error, are delivered while the reader wants them and never from inside
 * of the call by which it says so.
 *
 *     Readable -> readInPlace -> onread(ArrayBuffer)   JavaScript reads, and there is much
 *              -> read        -> onread(ArrayBuffer)   JavaScript reads
 *                             -> onread(), no bytes    into the buffer of the option `onread`
 *                             -> readBuffer(scratch)   C++ has taken the handle
 */
export class ReadSide {
  readonly #transport: Transport;
  readonly #id: number;
  readonly #handle: JSStreamHandle;

  #wanted = false;
  /** Bytes announced and not read yet. */
  #readable = 0;
  #bytesRead = 0;
  #takenByNative = false;
  /** Whether the transport has been told that {@link Transport.readInPlace} will be asked. */
  #inPlace = true;
  #userBuffer: Uint8Array | undefined;
  #ended = false;
  #failure: RdmaError | undefined;
  /** The end or the error has been delivered, or nobody wants it any more. */
  #over = false;

  constructor(transport: Transport, id: number, handle: JSStreamHandle) {
    this.#transport = transport;
    this.#id = id;
    this.#handle = handle;
  }

  get bytesRead(): number {
    return this.#bytesRead;
  }

  /** Whether the reader waits for something. */
  get wanted(): boolean {
    return this.#wanted;
  }

  /** Whether bytes have arrived that nobody has read. */
  get hasUnread(): boolean {
    return this.#readable > 0 && this.#failure === undefined;
  }

  /** Whether {@link deliver} has something to do. */
  get hasToDeliver(): boolean {
    if (!this.#wanted || this.#over) return false;
    return this.#readable > 0 || this.#ended || this.#failure !== undefined;
  }

  /** Whether C++ of Node is the reader, and there is something for it. */
  get hasToDeliverToNative(): boolean {
    return this.#failure === undefined && this.hasToDeliver && this.#isReadByNative();
  }

  start(): void {
    this.#wanted = !this.#over;
  }

  stop(): void {
    this.#wanted = false;
  }

  /** Nothing is delivered any more. */
  close(): void {
    this.#wanted = false;
    this.#over = true;
  }

  /** From now on C++ may read. */
  takeByNative(): void {
    this.#takenByNative = true;
    this.#setInPlace(false);
  }

  /** The option `onread`: what is read goes into this buffer. */
  useUserBuffer(buffer: Uint8Array): void {
    this.#userBuffer = buffer;
    this.#setInPlace(false);
  }

  /** @param bytes how many can be read in total */
  announce(bytes: number): void {
    this.#readable = bytes;
  }

  /** Nothing comes after what was announced. */
  end(): void {
    this.#ended = true;
  }

  /** The connection broke; what was announced still comes, then the error. */
  fail(failure: RdmaError): void {
    this.#failure = failure;
  }

  /**
   * Delivers what one turn of the event loop allows.
   * @param mayEnd false when bytes may have been delivered in the same turn
   */
  deliver(mayEnd: boolean): void {
    const { bytesRead } = this;
    const bytesMax = CHUNKS_PER_TURN * CHUNK_BYTES;
    let chunks = CHUNKS_PER_TURN;
    while (this.#wanted && this.#readable > 0 && chunks-- > 0) {
      // What comes in place may be larger than a chunk.
      if (this.#bytesRead - bytesRead >= bytesMax) break;
      this.#deliverChunk();
    }
    if (this.#readable > 0 || !this.hasToDeliver) return;
    // From TCP the end is read by itself, a turn after the last bytes: what they made the program
    // write, to a TLS socket for instance, has left by then. A reset does not wait: nothing leaves.
    if (this.#bytesRead > bytesRead || (!mayEnd && this.#failure === undefined)) return;
    this.close();
    if (this.#ended) this.#deliverEnd();
    else this.#deliverFailure();
  }

  // An http2 client asked the TCP handle that was here while connecting, so that we were not asked.
  // Its socket never flows. Going through C++ is right for every reader, and costs a copy.
  #isReadByNative(): boolean {
    if (this.#takenByNative) return true;
    const owner = ownerOf(this.#handle) as Socket | undefined;
    return this.#userBuffer === undefined && owner?.readableFlowing === null;
  }

  #deliverChunk(): void {
    const handle = this.#handle;
    if (this.#isReadByNative()) {
      scratch ??= Buffer.allocUnsafeSlow(CHUNK_BYTES);
      const bytes = this.#read(scratch);
      if (bytes > 0) {
        handle.readBuffer(bytes === CHUNK_BYTES ? scratch : scratch.subarray(0, bytes));
      }
    } else if (this.#userBuffer !== undefined) {
      const bytes = this.#read(this.#userBuffer);
      if (bytes === 0) return;
      const next = callOnRead(handle, bytes, 0, undefined);
      if (next instanceof Uint8Array) this.#userBuffer = next;
    } else this.#deliverToJavaScript();
  }

  #deliverToJavaScript(): void {
    const handle = this.#handle;
    this.#setInPlace(true);
    if (this.#readable >= IN_PLACE_BYTES_MIN) {
      const memory = this.#transport.readInPlace(this.#id);
      if (memory !== undefined) {
        const { byteLength } = memory;
        this.#readable = Math.max(0, this.#readable - byteLength);
        this.#bytesRead += byteLength;
        callOnRead(handle, byteLength, 0, memory);
        return;
      }
    }
    const chunk = Buffer.allocUnsafe(Math.min(this.#readable, CHUNK_BYTES));
    const bytes = this.#read(chunk);
    if (bytes > 0) callOnRead(handle, bytes, chunk.byteOffset, chunk.buffer);
  }

  #setInPlace(wanted: boolean): void {
    if (this.#inPlace === wanted || this.#over) return;
    this.#inPlace = wanted;
    this.#transport.setReadInPlace(this.#id, wanted);
  }

  #read(target: Uint8Array): number {
    const length = Math.min(this.#readable, target.byteLength);
    const bytes = this.#transport.read(this.#id, target, 0, length);
    if (bytes <= 0) {
      this.#readable = 0;
      return 0;
    }
    this.#readable -= bytes;
    this.#bytesRead += bytes;
    return bytes;
  }

  #deliverEnd(): void {
    if (this.#isReadByNative()) this.#handle.emitEOF();
    else callOnRead(this.#handle, UV_EOF, 0, undefined);
  }

  // The http parser and http2 pass errors on to `onread`. TLS does so to its own, which belongs to
  // the same socket where the socket does the TLS itself.
  #deliverFailure(): void {
    const failure = this.#failure;
    const owner = ownerOf(this.#handle) as Socket | undefined;
    if (failure === undefined || owner === undefined) return;
    const target = inside(owner)._handle ?? this.#handle;
    callOnRead(target, uvErrnoOf(failure.status), 0, undefined);
    attachCause(owner.errored, failure);
  }
}

// As C++ calls it: `this` is the handle, the number is in the shared state.
function callOnRead(
  handle: { onread: OnRead },
  bytesOrError: number,
  offset: number,
  buffer: ArrayBufferLike | undefined,
): unknown {
  streamBaseState[kReadBytesOrError] = bytesOrError;
  streamBaseState[kArrayBufferOffset] = offset;
  return handle.onread(buffer);
}
