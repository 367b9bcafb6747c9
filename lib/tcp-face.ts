/** What is the same for every handle that looks like TCPWrap to net.js, whatever is under it. */

import type { Socket } from 'node:net';
import { encode, encodeChunks } from './encode';
import { UV_EINVAL, UV_EISCONN } from './errors';
import {
  inside,
  ownerOf,
  streamInternals,
  type ConnectRequest,
  type Handle,
  type StreamRequest,
} from './internals';

const { JSStream } = streamInternals();

const NOTHING = new Uint8Array(0);

function noop(): void {
  // Nobody reads any more.
}

/** The write methods of Node's stream handles, brought down to one, and options without effect. */
export abstract class TcpFace extends JSStream {
  /** Kept by net.js. */
  reading = false;
  #hasConnectedAgain = false;

  constructor() {
    super();
    // C++ insists on a function once nothing else listens.
    this.onread = noop;
  }

  /**
   * Writes, at once as far as possible.
   * @param request null from Node 26 on: the result is then the request of a write that waits
   * @param chunks valid during the call; a part may lie in memory that is shared (see encode.ts)
   */
  protected abstract writeChunks(
    request: StreamRequest | null,
    chunks: Uint8Array[],
    bytes: number,
  ): StreamRequest | number;

  /** Has C++ make a write out of a request; it comes to `onwrite` with an empty chunk. */
  protected requestWrite(request: StreamRequest | null): StreamRequest | number {
    return super.writeBuffer(request, NOTHING);
  }

  override writeBuffer(request: StreamRequest | null, data: Uint8Array): StreamRequest | number {
    return this.writeChunks(request, [data], data.byteLength);
  }

  writev(
    request: StreamRequest | null,
    chunks: readonly unknown[],
    allBuffers: boolean,
  ): StreamRequest | number {
    const encoded = encodeChunks(chunks, allBuffers);
    let bytes = 0;
    for (const chunk of encoded) bytes += chunk.byteLength;
    return this.writeChunks(request, encoded, bytes);
  }

  writeUtf8String(request: StreamRequest | null, text: string): StreamRequest | number {
    return this.writeBuffer(request, encode(text, 'utf8'));
  }

  writeAsciiString(request: StreamRequest | null, text: string): StreamRequest | number {
    return this.writeBuffer(request, encode(text, 'latin1'));
  }

  writeLatin1String(request: StreamRequest | null, text: string): StreamRequest | number {
    return this.writeBuffer(request, encode(text, 'latin1'));
  }

  writeUcs2String(request: StreamRequest | null, text: string): StreamRequest | number {
    return this.writeBuffer(request, encode(text, 'utf16le'));
  }

  // A program may connect a socket that is connected. The kernel has not told the client yet that the
  // connection stands, and does so now; who knows it, as the accepting side does, is refused.
  connect(this: TcpFace & Handle, request: ConnectRequest): number {
    const owner = ownerOf(this) as Socket | undefined;
    const isAccepted = owner === undefined || inside(owner)._server !== null;
    if (isAccepted || this.#hasConnectedAgain) return UV_EISCONN;
    this.#hasConnectedAgain = true;
    setImmediate(() => {
      request.oncomplete?.call(request, 0, this, request, true, true);
    });
    return 0;
  }

  connect6(this: TcpFace & Handle, request: ConnectRequest): number {
    return this.connect(request);
  }

  bind(): number {
    return UV_EINVAL;
  }

  bind6(): number {
    return UV_EINVAL;
  }

  get fd(): number {
    return -1;
  }

  // RDMA has no counterpart of these: small messages never wait for an acknowledgement.
  setNoDelay(): number {
    return 0;
  }

  setSimultaneousAccepts(): number {
    return 0;
  }
}
