/** The way of bytes between the connections of the fake transport, at the pace of its devices. */

import { EventKind } from '../../lib/native';
import type { Connection } from './fake-connection';

/** Brings an event to the program. */
export type Post = (kind: EventKind, id: number, a?: number) => void;

/** What a test may change at any time. */
export interface WireTraits {
  /** Bytes a connection can hold that were not read. */
  readonly bufferBytes: number;
  /** Fewest bytes that arrive in a slab of their own where the reader wants them in place. */
  readonly slabBytesMin: number;
  /** Whether devices read no more memory of the program. */
  readonly stalled: boolean;
  /** Whether memory is overwritten as soon as the device has read it. */
  readonly scribbles: boolean;
}

/** Copies travel at once; memory of the program is read in a later turn. */
export class FakeWire {
  readonly #traits: WireTraits;
  readonly #post: Post;
  readonly #sending = new Set<Connection>();
  #scheduled: NodeJS.Immediate | undefined;

  constructor(traits: WireTraits, post: Post) {
    this.#traits = traits;
    this.#post = post;
  }

  /** Sends what is held back. */
  send(connection: Connection): void {
    connection.post();
    this.#transmit(connection, false);
  }

  #transmit(connection: Connection, readsMemory: boolean): void {
    const { peer, wire } = connection;
    if (peer === undefined) return;
    let sent = 0;
    const before = peer.receivedBytes;
    for (let [item] = wire; item !== undefined && !connection.failed; [item] = wire) {
      if (item.inPlace && (!readsMemory || this.#traits.stalled)) break;
      const rest = item.source.byteLength === 0 ? (item.kept ?? item.source) : item.source;
      const room = item.inPlace
        ? Math.max(0, this.#traits.bufferBytes - peer.receivedBytes)
        : rest.length;
      const piece = rest.subarray(item.offset, item.offset + room);
      if (piece.length > 0 && !peer.closed) peer.receive(piece, this.#traits.slabBytesMin);
      item.offset += peer.closed ? rest.length : piece.length;
      if (item.offset < rest.length) break;
      wire.shift();
      if (!item.inPlace) connection.outgoingBytes -= rest.length;
      else {
        sent++;
        if (this.#traits.scribbles) item.source.fill(0xee);
      }
    }
    if (peer.receivedBytes > before) this.#post(EventKind.Readable, peer.id, peer.receivedBytes);
    if (sent > 0) {
      this.#post(EventKind.Sent, connection.id, sent);
      this.makeRoom(connection);
    }
    if (wire.length > 0) this.#transmitLater(connection);
    else connection.whenSent?.();
  }

  #transmitLater(connection: Connection): void {
    this.#sending.add(connection);
    this.#scheduled ??= setImmediate(() => {
      this.#scheduled = undefined;
      const now = [...this.#sending];
      this.#sending.clear();
      for (const one of now) {
        if (this.#canTransmit(one)) this.#transmit(one, true);
        else if (one.wire.length > 0 && !one.failed) this.#sending.add(one);
      }
    });
  }

  #canTransmit(connection: Connection): boolean {
    const { wire, peer, failed } = connection;
    if (wire.length === 0 || peer === undefined || failed || this.#traits.stalled) return false;
    return peer.closed || peer.failed || peer.receivedBytes < this.#traits.bufferBytes;
  }

  /** A connection may go on: its peer has read, or is gone. */
  makeRoom(connection: Connection | undefined): void {
    if (connection === undefined) return;
    if (this.#canTransmit(connection)) this.#transmitLater(connection);
    if (!connection.wantsWritable) return;
    connection.wantsWritable = false;
    this.#post(EventKind.Writable, connection.id);
  }

  /** Sends what is held back, and calls back when nothing is on its way any more. */
  whenSent(connection: Connection, callback: () => void): void {
    this.send(connection);
    const before = connection.whenSent;
    const both = (): void => {
      connection.whenSent = undefined;
      before?.();
      callback();
    };
    if (connection.wire.length === 0 || connection.failed) both();
    else connection.whenSent = both;
  }

  /** Devices read again. */
  resume(): void {
    for (const connection of this.#sending) this.#transmitLater(connection);
  }
}
