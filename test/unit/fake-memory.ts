/** Registrations of the fake transport: strict about what a device would read by mistake. */

interface Registration {
  readonly buffer: WeakRef<ArrayBuffer>;
  readonly bytes: number;
  /** Registering takes a turn of the event loop. */
  ready: boolean;
}

/** Throws where a stale registration would be used: the device would read other memory. */
export class FakeMemory {
  /** What {@link register} refuses, in bytes. */
  bytesMax = Number.MAX_SAFE_INTEGER;
  made = 0;
  #nextId = 1;
  readonly #registrations = new Map<number, Registration>();
  readonly #slabs = new WeakSet<ArrayBufferLike>();

  get count(): number {
    return this.#registrations.size;
  }

  get bytes(): number {
    let sum = 0;
    for (const { bytes } of this.#registrations.values()) sum += bytes;
    return sum;
  }

  /** Memory that was handed over after receiving is registered from the start. */
  addSlab(slab: ArrayBuffer): void {
    this.#slabs.add(slab);
  }

  register(buffer: ArrayBuffer): number {
    if (!(buffer instanceof ArrayBuffer)) throw new TypeError('only an ArrayBuffer is registered');
    const { byteLength: bytes, resizable } = buffer as ArrayBuffer & { resizable?: boolean };
    if (bytes === 0 || resizable === true) throw new Error('it is detached or resizable');
    for (const { buffer: other } of this.#registrations.values()) {
      if (other.deref() === buffer) throw new Error('it is registered already');
    }
    if (this.bytes + bytes > this.bytesMax) return 0;
    const id = this.#nextId++;
    const registration = { buffer: new WeakRef(buffer), bytes, ready: false };
    this.#registrations.set(id, registration);
    this.made++;
    setImmediate(() => (registration.ready = true));
    return id;
  }

  unregister(id: number): void {
    if (!this.#registrations.delete(id)) throw new Error(`registration ${id} is not there`);
  }

  /** Whether a device may read these bytes. */
  isReadable(source: Uint8Array, id: number): boolean {
    if (this.#slabs.has(source.buffer)) return true;
    if (id === 0) return false;
    const registration = this.#registrations.get(id);
    if (registration?.buffer.deref() !== source.buffer) {
      throw new Error(`registration ${id} is not that of these bytes`);
    }
    return registration.ready;
  }
}
