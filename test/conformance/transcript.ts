/** What a scenario saw: for each party the events in order, with values that are the same each time. */
import { createHash } from 'node:crypto';
import type { EventEmitter } from 'node:events';
import { debuglog } from 'node:util';

/** NODE_DEBUG=conformance shows what happens as it happens. */
const debug = debuglog('conformance');

/** What happened, and the values that came with it. */
export type Entry = readonly unknown[];

/** By party. Only the order within a party counts: that between two is of the scheduler's making. */
export type Lanes = Record<string, Entry[]>;

/** Longer bytes are compared by their digest. */
const BYTES_SHOWN_MAX = 200;

/** Fields of errors that a program may look at. */
const ERROR_FIELDS = ['code', 'errno', 'syscall', 'address', 'port', 'localAddress', 'localPort'];

/** Ports differ each time, and get the names that a scenario gives them. */
export class Names {
  readonly #names = new Map<number, string>();

  add(port: number | undefined, name: string): void {
    if (port !== undefined && !this.#names.has(port)) this.#names.set(port, `<${name}>`);
  }

  ofPort(port: number): string | number {
    return this.#names.get(port) ?? port;
  }

  /** A text with the names in the place of the ports. */
  in(text: string): string {
    return text.replace(/:(\d+)\b/g, (all, port: string) => {
      const name = this.#names.get(Number(port));
      return name === undefined ? all : `:${name}`;
    });
  }
}

/** Bytes that come in pieces: those that are few as they are, others by their digest. */
class Bytes {
  readonly #hash = createHash('sha1');
  #shown = Buffer.alloc(0);
  #length = 0;

  add(bytes: Uint8Array): this {
    this.#hash.update(bytes);
    this.#length += bytes.byteLength;
    if (this.#length <= BYTES_SHOWN_MAX) this.#shown = Buffer.concat([this.#shown, bytes]);
    return this;
  }

  toJSON(): unknown {
    if (this.#length <= BYTES_SHOWN_MAX) return { bytes: this.#shown.toString('latin1') };
    return { length: this.#length, digest: this.#hash.copy().digest('hex') };
  }
}

function describeError(error: Error, names: Names): unknown {
  const fields: Record<string, unknown> = { [error.name]: names.in(error.message) };
  for (const name of ERROR_FIELDS) {
    if (name in error) fields[name] = describe(Reflect.get(error, name), names);
  }
  if (error instanceof AggregateError) fields['errors'] = describe(error.errors, names);
  return fields;
}

/** A value as it is compared: JSON, without what differs each time. */
export function describe(value: unknown, names: Names): unknown {
  if (value === undefined) return '<undefined>';
  if (typeof value === 'number') return Number.isFinite(value) ? names.ofPort(value) : `<${value}>`;
  if (typeof value === 'string') return names.in(value);
  if (typeof value === 'bigint' || typeof value === 'symbol') return String(value);
  if (typeof value === 'function') return '<function>';
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Uint8Array) return new Bytes().add(value);
  if (value instanceof Error) return describeError(value, names);
  if (Array.isArray(value)) return value.map((item) => describe(item, names));
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    return `<${value.constructor.name}>`;
  }
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, describe(item, names)]),
  );
}

/** One party of a scenario: a client, what the server accepted, the server itself. */
export class Lane {
  readonly #name: string;
  readonly #entries: Entry[];
  readonly #names: Names;
  #data: Bytes | undefined;

  constructor(name: string, entries: Entry[], names: Names) {
    this.#name = name;
    this.#entries = entries;
    this.#names = names;
  }

  /** Puts down that something happened. */
  note(what: string, ...values: unknown[]): void {
    debug('%s: %s', this.#name, what, ...values);
    this.#data = undefined;
    this.#entries.push([what, ...values.map((value) => describe(value, this.#names))]);
  }

  /** Puts down bytes. Where a stream is cut means nothing: what comes in a row is one. */
  data(chunk: Uint8Array | string, what = 'data'): void {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    if (this.#data === undefined) {
      this.#data = new Bytes();
      this.#entries.push([what, this.#data]);
    }
    this.#data.add(bytes);
  }

  /** Puts down what calling returned, or the error that it threw. */
  try(what: string, call: () => unknown): void {
    try {
      this.note(what, call());
    } catch (error) {
      this.note(what, 'throws', error);
    }
  }

  /** Puts down these events of an emitter with their arguments. */
  watch<Emitter extends EventEmitter>(emitter: Emitter, ...events: string[]): Emitter {
    for (const event of events) {
      emitter.on(event, (...values: unknown[]) => {
        if (event === 'data') this.data(values[0] as Uint8Array);
        else this.note(event, ...values);
      });
    }
    return emitter;
  }
}

/** What one scenario saw. */
export class Transcript {
  readonly names = new Names();
  readonly lanes: Lanes = {};
  readonly #lanes = new Map<string, Lane>();

  lane(name: string): Lane {
    const known = this.#lanes.get(name);
    if (known !== undefined) return known;
    const lane = new Lane(name, (this.lanes[name] ??= []), this.names);
    this.#lanes.set(name, lane);
    return lane;
  }
}
