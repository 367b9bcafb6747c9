/** Which of the program's own ArrayBuffers the devices may send from. */

import { performance } from 'node:perf_hooks';
import { types } from 'node:util';
import { settings } from './mode';
import type { Transport } from './native';

/** Writes of fewer bytes are copied: that costs less than waiting until the device has read them. */
export const IN_PLACE_BYTES_MIN = 64 * 1024;
/** ArrayBuffers of fewer bytes are not registered for having been written twice. */
const REGISTER_BYTES_MIN = 128 * 1024;
/** Registrations that one transport may have. */
const REGISTRATIONS_MAX = 1024;
/** What the native side may pin in all unless it is set otherwise, in bytes. */
const PINNED_BYTES_MAX = 256 * 1024 * 1024;
/** After how long without a write a registration gives way to another one, in milliseconds. */
const IDLE_MS = 10_000;
/** How many writes to wait until an ArrayBuffer that was refused is tried again. */
const WRITES_AFTER_REFUSAL = 64;

interface Entry {
  /** 0 as long as it is not registered. */
  registration: number;
  /** How often the ArrayBuffer was written; it is registered when this reaches 2. */
  writes: number;
  readonly bytes: number;
  /** On the clock of `performance`. */
  usedMs: number;
  readonly buffer: WeakRef<ArrayBuffer>;
}

/** What {@link alloc} has made: worth registering at the first write, if not before. */
const allocated = new WeakSet<ArrayBuffer>();

// Resizable ArrayBuffers can shrink under a registration.
function isRegistrable(buffer: ArrayBufferLike): buffer is ArrayBuffer {
  const { resizable } = buffer as { resizable?: boolean };
  return resizable !== true && types.isArrayBuffer(buffer);
}

/**
 * Registrations by the identity of the ArrayBuffer, and as long as it lives: never by its address,
 * at which another one may lie tomorrow.
 *
 * An ArrayBuffer that is written once is not worth it; the second write begins to register it. The
 * number and the bytes of registrations are bounded. When full, the one that was not used for longest
 * gives way, but only after it has idled: with more buffers in turn than there is room for, a plain
 * LRU would register at each write, which costs more than the copy that it saves.
 */
export class Registrations {
  readonly #transport: Transport;
  readonly #now: () => number;
  readonly #bytesMax: number;
  readonly #entries = new WeakMap<ArrayBufferLike, Entry>();
  // Those that are registered. A Set iterates in order of insertion, which makes it an LRU.
  readonly #registered = new Set<Entry>();
  readonly #collected = new FinalizationRegistry<Entry>((entry) => {
    this.#unregister(entry);
  });
  #bytes = 0;
  #hits = 0;
  #misses = 0;

  /**
   * @param bytesMax how many bytes may be registered
   * @param now a monotonic clock in milliseconds
   */
  constructor(transport: Transport, bytesMax: number, now: () => number) {
    this.#transport = transport;
    this.#bytesMax = bytesMax;
    this.#now = now;
  }

  /** Writes that were sent in place because their ArrayBuffer is registered. */
  get hits(): number {
    return this.#hits;
  }

  /** Large writes that were copied because theirs is not, or not yet. */
  get misses(): number {
    return this.#misses;
  }

  /** What {@link Transport.writeInPlace} wants to know: the registration, 0 if there is none. */
  find(buffer: ArrayBufferLike): number {
    const entry = this.#entries.get(buffer);
    if (entry === undefined || entry.registration === 0) return 0;
    entry.usedMs = this.#now();
    this.#registered.delete(entry);
    this.#registered.add(entry);
    return entry.registration;
  }

  /** A write was sent by what {@link find} found. */
  noteHit(): void {
    this.#hits++;
  }

  /** A write was copied that could have been sent in place. */
  noteMiss(buffer: ArrayBufferLike): void {
    if (this.#transport.copiesWrites) return;
    this.#misses++;
    if (!isRegistrable(buffer)) return;
    const isAllocated = allocated.has(buffer);
    if (!isAllocated && buffer.byteLength < REGISTER_BYTES_MIN) return;
    const entry = this.#entryOf(buffer);
    entry.writes++;
    if (entry.writes >= 2 || (isAllocated && entry.writes === 1)) this.#register(buffer, entry);
  }

  /** Registers without waiting for a write. */
  registerNow(buffer: ArrayBuffer): void {
    this.#register(buffer, this.#entryOf(buffer));
  }

  /** Gives up the registration of an ArrayBuffer whose memory has gone elsewhere. */
  noteDetached(buffer: ArrayBufferLike): void {
    const entry = this.#entries.get(buffer);
    if (entry !== undefined && buffer.byteLength === 0) this.#unregister(entry);
  }

  #entryOf(buffer: ArrayBuffer): Entry {
    let entry = this.#entries.get(buffer);
    if (entry === undefined) {
      const { byteLength: bytes } = buffer;
      entry = { registration: 0, writes: 0, bytes, usedMs: 0, buffer: new WeakRef(buffer) };
      this.#entries.set(buffer, entry);
    }
    return entry;
  }

  #register(buffer: ArrayBuffer, entry: Entry): void {
    if (entry.registration !== 0) return;
    if (this.#makeRoom(entry.bytes)) entry.registration = this.#transport.register(buffer);
    if (entry.registration === 0) {
      entry.writes = 2 - WRITES_AFTER_REFUSAL;
      return;
    }
    entry.usedMs = this.#now();
    this.#bytes += entry.bytes;
    this.#registered.add(entry);
    this.#collected.register(buffer, entry, entry);
  }

  #makeRoom(bytes: number): boolean {
    if (bytes > this.#bytesMax) return false;
    // Nobody tells when memory goes to another thread, so it is looked for where pinning matters.
    for (const entry of this.#registered) {
      if (entry.buffer.deref()?.byteLength === 0) this.#unregister(entry);
    }
    const idleSinceMs = this.#now() - IDLE_MS;
    for (const entry of this.#registered) {
      if (this.#hasRoom(bytes) || entry.usedMs > idleSinceMs) break;
      this.#unregister(entry);
    }
    return this.#hasRoom(bytes);
  }

  #hasRoom(bytes: number): boolean {
    return this.#registered.size < REGISTRATIONS_MAX && this.#bytes + bytes <= this.#bytesMax;
  }

  #unregister(entry: Entry): void {
    if (!this.#registered.delete(entry)) return;
    this.#collected.unregister(entry);
    this.#bytes -= entry.bytes;
    this.#transport.unregister(entry.registration);
    entry.registration = 0;
    entry.writes = 0;
  }
}

const all = new WeakMap<Transport, Registrations>();

/** The registrations of a transport, made at the first call. */
export function registrationsOf(transport: Transport): Registrations {
  let registrations = all.get(transport);
  if (registrations === undefined) {
    // The other half is for connections: they must not go to TCP because large buffers are sent.
    const bytesMax = (settings.pinnedBytesMax ?? PINNED_BYTES_MAX) / 2;
    registrations = new Registrations(transport, bytesMax, () => performance.now());
    all.set(transport, registrations);
  }
  return registrations;
}

/** Puts down that an ArrayBuffer is made for sending, and registers it if it can be now. */
export function noteAllocated(buffer: ArrayBuffer, transport: Transport | undefined): void {
  if (buffer.byteLength < IN_PLACE_BYTES_MIN) return;
  allocated.add(buffer);
  if (transport !== undefined) registrationsOf(transport).registerNow(buffer);
}
