/** One side of a connection of the fake transport: what it holds back, what it has to send. */

import type { Endpoint } from '../../lib/native';
import { noCounters } from '../../lib/stats';

/** Bytes that have arrived and were not read. */
export interface Piece {
  bytes: Buffer;
  /** Whether it fills an ArrayBuffer of its own, as a slab that may be handed over. */
  readonly isSlab: boolean;
}

/** Bytes that were taken and are on their way to the peer. */
export interface Outgoing {
  /** A copy, or the memory of the program, which the device reads late. */
  readonly source: Uint8Array;
  readonly inPlace: boolean;
  /** What the memory still holds when the program has given it to another thread. */
  readonly kept: Buffer | undefined;
  /** Bytes that the device has read. */
  offset: number;
}

/** See the top of the file. */
export class Connection {
  peer: Connection | undefined;
  received: Piece[] = [];
  receivedBytes = 0;
  readsInPlace = true;
  /** Held back until more comes, or a flush. */
  held: Outgoing[] = [];
  wire: Outgoing[] = [];
  /** Copied bytes in both. */
  outgoingBytes = 0;
  wantsWritable = false;
  established = false;
  sendClosed = false;
  endAnnounced = false;
  failed = false;
  closed = false;
  /** To be done when the wire is empty. */
  whenSent: (() => void) | undefined;
  readonly counters = noCounters();

  constructor(
    readonly id: number,
    readonly local: Endpoint,
    readonly remote: Endpoint,
  ) {}

  /** Writes in place that the device has not read to their end. */
  get inPlaceCount(): number {
    return this.wire.filter(({ inPlace }) => inPlace).length;
  }

  hold(source: Uint8Array): void {
    this.held.push({ source, inPlace: false, kept: undefined, offset: 0 });
    this.outgoingBytes += source.byteLength;
    this.counters.bytesSent += source.byteLength;
    this.counters.bytesSentCopied += source.byteLength;
  }

  /** Puts what is held back on the wire, in one work request. */
  post(): void {
    if (this.held.length === 0) return;
    this.wire.push(...this.held);
    this.held = [];
    this.counters.workRequests++;
    this.counters.messagesSent++;
  }

  postInPlace(source: Uint8Array): void {
    this.post();
    this.wire.push({ source, inPlace: true, kept: Buffer.from(source), offset: 0 });
    this.counters.workRequests++;
    this.counters.messagesSent++;
    this.counters.bytesSent += source.byteLength;
    this.counters.bytesSentInPlace += source.byteLength;
  }

  /** Bytes arrive at this side. */
  receive(bytes: Uint8Array, slabBytesMin: number): void {
    const isSlab = this.readsInPlace && bytes.byteLength >= slabBytesMin;
    const memory = Buffer.from(new ArrayBuffer(bytes.byteLength));
    memory.set(bytes);
    this.received.push({ bytes: memory, isSlab });
    this.receivedBytes += bytes.byteLength;
    this.counters.messagesReceived++;
  }

  /** Copies what has arrived. */
  read(target: Uint8Array): number {
    let bytes = 0;
    while (bytes < target.byteLength) {
      const [first] = this.received;
      if (first === undefined) break;
      const piece = first.bytes.subarray(0, target.byteLength - bytes);
      target.set(piece, bytes);
      bytes += piece.length;
      if (piece.length === first.bytes.length) this.received.shift();
      else this.received[0] = { bytes: first.bytes.subarray(piece.length), isSlab: false };
    }
    this.receivedBytes -= bytes;
    this.counters.bytesReceived += bytes;
    this.counters.bytesReceivedCopied += bytes;
    return bytes;
  }

  /** Hands over what has arrived, if it lies in a slab of its own. */
  takeSlab(): ArrayBuffer | undefined {
    const [first] = this.received;
    if (first?.isSlab !== true) return undefined;
    this.received.shift();
    this.receivedBytes -= first.bytes.length;
    this.counters.bytesReceived += first.bytes.length;
    this.counters.bytesReceivedInPlace += first.bytes.length;
    return first.bytes.buffer as ArrayBuffer;
  }
}
