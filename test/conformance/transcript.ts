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

function describeBytes(bytes: Uint8Array): unknown {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (buffer.length <= BYTES_SHOWN_MAX) return { bytes: buffer.toString('latin1') };
  const digest = createHash('sha1').update(buffer).digest('hex');
  return { length: buffer.length, digest };
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
  if (value instanceof Uint8Array) return describeBytes(value);
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
  #data: Uint8Array[] | undefined;

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
      this.#data = [];
      this.#entries.push([]);
    }
    // A copy: what the option `onread` gives is used again.
    this.#data.push(Buffer.from(bytes));
    this.#entries[this.#entries.length - 1] = [what, describeBytes(Buffer.concat(this.#data))];
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

  lane(name: string): Lane {
    return new Lane(name, (this.lanes[name] ??= []), this.names);
  }
}
