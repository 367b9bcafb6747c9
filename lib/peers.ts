/** Memory of peers without RDMA, so that such a peer costs one probe and not one a connection. */

import type { Reason } from './reasons';

/** What is remembered of a peer. */
export interface Remembered {
  readonly reason: Reason;
  /** On the clock of {@link PeerMemory}, in milliseconds. */
  readonly expiresMs: number;
}

/** What a memory may hold, asked at each use so that it can change. */
export interface PeerMemoryLimits {
  readonly peerMemoryMs: number;
  readonly peerMemoryCount: number;
}

/**
 * Remembers reasons by address and port (nobody listens there) or by address alone (not reachable
 * over RDMA at all). When full, what was not asked for longest is forgotten.
 */
export class PeerMemory {
  // A Map iterates in order of insertion, so that moving an entry to the end makes it an LRU.
  readonly #entries = new Map<string, Remembered>();
  readonly #limits: PeerMemoryLimits;
  readonly #now: () => number;
  #version = 0;

  /** @param now a monotonic clock in milliseconds */
  constructor(limits: PeerMemoryLimits, now: () => number) {
    this.#limits = limits;
    this.#now = now;
  }

  /** Peers remembered, expired ones included. */
  get count(): number {
    return this.#entries.size;
  }

  /** Another one when something was remembered or forgotten, other than by time. */
  get version(): number {
    return this.#version;
  }

  /** @param port undefined when the reason holds for all ports of the address */
  remember(address: string, port: number | undefined, reason: Reason): void {
    const { peerMemoryMs, peerMemoryCount } = this.#limits;
    if (peerMemoryMs === 0) return;
    this.#version++;
    const key = keyOf(address, port);
    this.#entries.delete(key);
    while (this.#entries.size >= peerMemoryCount) {
      const oldest = this.#entries.keys().next();
      if (oldest.done === true) break;
      this.#entries.delete(oldest.value);
    }
    this.#entries.set(key, { reason, expiresMs: this.#now() + peerMemoryMs });
  }

  /** Why it is known that this peer does not take RDMA connections, if it is. */
  recall(address: string, port: number): Reason | undefined {
    return this.lookUp(address, port)?.reason;
  }

  /** The same, and for how long. */
  lookUp(address: string, port: number): Remembered | undefined {
    if (this.#entries.size === 0) return undefined;
    return this.#recallKey(keyOf(address, port)) ?? this.#recallKey(keyOf(address, undefined));
  }

  /** Forgets what was remembered of a peer: it does take RDMA connections. */
  forget(address: string, port: number): void {
    const ofPort = this.#entries.delete(keyOf(address, port));
    const ofAddress = this.#entries.delete(keyOf(address, undefined));
    if (ofPort || ofAddress) this.#version++;
  }

  /** Forgets all. */
  clear(): void {
    this.#version++;
    this.#entries.clear();
  }

  #recallKey(key: string): Remembered | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    if (entry.expiresMs <= this.#now()) return undefined;
    this.#entries.set(key, entry);
    return entry;
  }
}

// A port never contains '#', an address may contain ':' and '%'.
function keyOf(address: string, port: number | undefined): string {
  return port === undefined ? address : `${address}#${port}`;
}
