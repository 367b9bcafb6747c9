/**
 * The transports of this environment besides TCP: making them when they are first needed, and
 * bringing their events to streams.
 */

import type { AsyncResource } from 'node:async_hooks';
import { performance } from 'node:perf_hooks';
import { bindingFailure, setBinding, theBinding, type BindingTraits } from './binding';
import { debug } from './diagnostics';
import { beginDelivery, endDelivery } from './doorbell';
import { RdmaError } from './errors';
import { runTicks } from './internals';
import { settings, takeOver, TRANSPORT_SETTINGS, type FabricTransportName } from './mode';
import {
  EVENT_WORDS,
  EventKind,
  type Binding,
  type FabricName,
  type Transport,
  type TransportOptions,
} from './native';
import { Status } from './native-status';
import {
  localReasonCodeOf,
  reasonCodeOf,
  reasonFor,
  type Reason,
  type ReasonCode,
} from './reasons';
import { rootScope } from './scope';

/** What receives the events of one id. */
export interface EventSink {
  /** Events are handled in it, so that AsyncLocalStorage and async_hooks hold. */
  readonly scope: AsyncResource;
  handleEvent(kind: EventKind, id: number, a: number, b: number, c: number): void;
}

/** What a connection needs of its transport. */
export interface Carrier {
  readonly name: FabricTransportName;
  readonly native: Transport;
  /** Keeps the event loop alive until {@link release}. */
  retain(): void;
  release(): void;
}

/** Something that wants to go on in a later turn of the event loop. */
export interface Continuation {
  readonly scope: AsyncResource;
  continueTurn(): void;
}

/** Something that has bytes for C++ of Node, or for JavaScript that has to wait for C++. */
export interface Reader {
  /** Hands on what there is to read; called from outside of every callback scope. */
  deliverToReader(): void;
}

/** How long the answer of `probe()` holds, in milliseconds. */
const PROBE_MS = 1000;
/** How long a transport is left alone after it failed as a whole, in milliseconds. */
const BLOCK_MS = 60_000;
/** The same for failures that pass by themselves. */
const SHORT_BLOCK_MS = 1000;

/** How long the end of the process waits for what was written to be sent, in milliseconds. */
const FAREWELL_MS = 1000;

const passingStatuses: ReadonlySet<Status> = new Set<Status>([
  Status.MemoryLockLimit,
  Status.DeviceResources,
  Status.DeviceRemoved,
  Status.PinnedLimit,
  Status.QueuePairLimit,
]);

function releasesId(kind: EventKind): boolean {
  return (
    kind === EventKind.Closed || kind === EventKind.ConnectFailed || kind === EventKind.ListenFailed
  );
}

/** The one transport of a fabric in this environment: opened when it is first needed. */
export class FabricTransport implements Carrier {
  readonly name: FabricTransportName;
  readonly #fabric: FabricName;
  // By id: each transport has ids of its own, and the same ones.
  readonly #sinks = new Map<number, EventSink>();
  #native: Transport | undefined;
  #probed: { status: Status; reason: Reason | undefined; untilMs: number } | undefined;
  #blocked: { status: Status; reason: Reason; untilMs: number } | undefined;
  #refCount = 0;
  #version = 0;

  constructor(name: FabricTransportName, fabric: FabricName) {
    this.name = name;
    this.#fabric = fabric;
  }

  /** The native side. Only after {@link open} returned undefined. */
  get native(): Transport {
    if (this.#native === undefined) throw new Error(`the transport ${this.name} is not open`);
    return this.#native;
  }

  /** The native side, if it is there. */
  get opened(): Transport | undefined {
    return this.#native;
  }

  /**
   * Why this transport cannot be had now, if so. Costs microseconds after the first call, and no
   * library is opened for it.
   * @param patient true to ask again although the transport has failed a short while ago
   */
  unavailable(patient = false): Reason | undefined {
    const binding = theBinding();
    if (binding === undefined) return bindingFailure();
    const nowMs = performance.now();
    if (this.#blocked !== undefined && !patient) {
      if (nowMs < this.#blocked.untilMs) return this.#blocked.reason;
      this.#blocked = undefined;
    }
    if (this.#native !== undefined) return undefined;
    if (this.#probed === undefined || nowMs >= this.#probed.untilMs) {
      const status = binding.probe(this.#fabric);
      this.#probed = { status, reason: this.#reasonOf(status), untilMs: nowMs + PROBE_MS };
    }
    return this.#probed.reason;
  }

  /** Until when the answer of {@link unavailable} holds, on the clock of performance.now(). */
  get unavailableUntilMs(): number {
    return (this.#blocked ?? this.#probed)?.untilMs ?? Infinity;
  }

  /** Another one when the transport was opened or blocked, or its binding exchanged. */
  get version(): number {
    return this.#version;
  }

  /** The status behind {@link unavailable}, for the code of an error. */
  get unavailableStatus(): Status {
    if (this.#blocked !== undefined) return this.#blocked.status;
    const status = this.#probed?.status ?? Status.Ok;
    return status === Status.Ok ? Status.NoDevice : status;
  }

  #reasonOf(status: Status): Reason | undefined {
    if (status === Status.Ok) return undefined;
    if (this.name === 'rdma') return reasonFor(reasonCodeOf(status));
    return reasonFor('local-unavailable', new RdmaError(status).message);
  }

  /** Why it is not used where it is not among those that may be. */
  get offReason(): Reason {
    return reasonFor(this.name === 'local' ? 'local-off' : 'rdma-off');
  }

  /** The code for what the native side returned. */
  reasonCodeOf(status: Status): ReasonCode {
    return this.name === 'local' ? localReasonCodeOf(status) : reasonCodeOf(status);
  }

  /** Leaves the transport alone for a while when a status means that all of it failed. */
  blockAfter(status: Status, detail: string): void {
    const passes = passingStatuses.has(status);
    // What is more than a limit concerns the peer on this host, and another one may well do.
    if (status < 200 || (this.name === 'local' && !passes)) return;
    const text = this.#native?.openError() ?? '';
    this.#block(status, text === '' ? detail : text, passes ? SHORT_BLOCK_MS : BLOCK_MS);
  }

  #block(status: Status, detail: string, spanMs: number): Reason {
    const reason = reasonFor(this.reasonCodeOf(status), detail);
    this.#version++;
    this.#blocked = { reason, status, untilMs: performance.now() + spanMs };
    debug('%s failed as a whole: %s %s', this.name, reason.code, reason.detail);
    return reason;
  }

  /**
   * Makes the native side if it is not there.
   * @returns why that could not be done: the process may have no descriptors left
   */
  open(): Reason | undefined {
    if (this.#native !== undefined) return undefined;
    const binding = theBinding();
    if (binding === undefined) return bindingFailure();
    try {
      // The callback of the addon lives in the context of this call: not in that of the first socket.
      this.#native = rootScope().runInAsyncScope(() =>
        binding.createTransport(this.#fabric, this.#dispatch, this.#options()),
      );
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      return this.#block(Status.DeviceResources, detail, SHORT_BLOCK_MS);
    }
    takeOver(TRANSPORT_SETTINGS);
    this.#version++;
    // Not with the cleanup of the environment: process.exit() does without it.
    process.once('exit', () => {
      this.#native?.farewell(FAREWELL_MS);
    });
    return undefined;
  }

  #options(): TransportOptions {
    const { receiveBufferBytes, sendBufferBytes, pinnedBytesMax, queuePairsMax } = settings;
    const { spinMicroseconds } = settings;
    return {
      ...(receiveBufferBytes === undefined ? {} : { receiveBufferBytes }),
      ...(sendBufferBytes === undefined ? {} : { sendBufferBytes }),
      ...(pinnedBytesMax === undefined ? {} : { pinnedBytesMax }),
      ...(queuePairsMax === undefined ? {} : { queuePairsMax }),
      ...(spinMicroseconds === 0 ? {} : { spinMicroseconds }),
    };
  }

  /** From now on the events of this id go to this sink, until `Closed` or a failure released it. */
  adopt(id: number, sink: EventSink): void {
    this.#sinks.set(id, sink);
  }

  /** What receives events, by id. */
  get sinks(): ReadonlyMap<number, EventSink> {
    return this.#sinks;
  }

  retain(): void {
    if (this.#refCount++ === 0) this.#native?.setRef(true);
  }

  release(): void {
    if (--this.#refCount === 0) this.#native?.setRef(false);
  }

  /** Forgets what was found out about another binding. */
  reset(): void {
    this.#version++;
    this.#probed = undefined;
    this.#blocked = undefined;
  }

  readonly #dispatch = (count: number): boolean => {
    if (count === 0) deliverToReaders();
    else this.#dispatchEvents(count);
    return readers.size > 0;
  };

  #dispatchEvents(count: number): void {
    const { events } = this.native;
    for (let index = 0; index < count; index++) {
      const at = index * EVENT_WORDS;
      const kind = events[at] as EventKind;
      const id = events[at + 1] ?? -1;
      const a = events[at + 2] ?? 0;
      const key = kind === EventKind.Accepted ? a : id;
      const sink = this.#sinks.get(key);
      if (releasesId(kind)) this.#sinks.delete(key);
      if (sink === undefined) {
        debug('event %d of unknown id %d of %s', kind, id, this.name);
        // Nobody will ever close what a listener accepted just before it went away.
        if (kind === EventKind.Accepted) this.native.reset(id);
        continue;
      }
      deliver(sink, kind, id, a, events[at + 3] ?? 0, events[at + 4] ?? 0);
    }
  }
}

export const localTransport = new FabricTransport('local', 'local');
export const rdmaTransport = new FabricTransport('rdma', 'verbs');

/** The transport of this name. */
export function transportNamed(name: FabricTransportName): FabricTransport {
  return name === 'local' ? localTransport : rdmaTransport;
}

/** In the order in which they are tried. */
export const fabricTransports: readonly FabricTransport[] = [localTransport, rdmaTransport];

/**
 * Uses another binding instead of the addon, before anything was connected. For tests.
 * @throws when a transport is there already
 */
export function useBinding(other: Binding, traits: BindingTraits): void {
  if (fabricTransports.some(({ opened }) => opened !== undefined)) {
    throw new Error('a transport is in use already');
  }
  setBinding(other, traits);
  for (const transport of fabricTransports) transport.reset();
}

// One stream after the other as TCP does it: its own scope, then all ticks and microtasks. What a
// listener throws becomes an uncaught exception and does not cost the others their events.
function deliver(
  sink: EventSink,
  kind: EventKind,
  id: number,
  a: number,
  b: number,
  c: number,
): void {
  beginDelivery();
  try {
    // eslint-disable-next-line @typescript-eslint/unbound-method -- the second argument binds it
    sink.scope.runInAsyncScope(sink.handleEvent, sink, kind, id, a, b, c);
  } catch (error) {
    throwUncaught(error);
  }
  finishDelivery();
}

// A throwing microtask ends as an uncaught exception without unwinding whoever runs it.
function throwUncaught(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}

function finishDelivery(): void {
  for (;;) {
    try {
      runTicks();
      break;
    } catch (error) {
      throwUncaught(error);
    }
  }
  endDelivery();
}

/** Calls `continueTurn` after the immediates that are there already, and those of C++ with them. */
export function continueInNextTurn(continuation: Continuation): void {
  rootScope().runInAsyncScope(() => {
    setImmediate(() => {
      continueEach([continuation]);
    });
  });
}

const waiting = new Set<Continuation>();

/** Calls `continueTurn` in this turn of the event loop or the next, once however often it is asked. */
export function continueLater(continuation: Continuation): void {
  if (waiting.size === 0) {
    rootScope().runInAsyncScope(() => {
      setImmediate(continueAll);
    });
  }
  waiting.add(continuation);
}

function continueAll(): void {
  const now = [...waiting];
  waiting.clear();
  continueEach(now);
}

/** Calls `continueTurn` of one after the other, as if each had a callback of libuv's for itself. */
export function continueEach(continuations: readonly Continuation[]): void {
  for (const continuation of continuations) {
    beginDelivery();
    try {
      // eslint-disable-next-line @typescript-eslint/unbound-method -- the second argument binds it
      continuation.scope.runInAsyncScope(continuation.continueTurn, continuation);
    } catch (error) {
      throwUncaught(error);
    }
    finishDelivery();
  }
}

const readers = new Set<Reader>();

/**
 * Lets C++ of Node read when the events of this batch have been delivered. One read may make it call
 * JavaScript many times, as for the frames of http2, and between two of these calls the program
 * expects its promises to have gone on, as with TCP: an http2 stream that nobody has begun to read by
 * the time it is closed is thrown away.
 */
export function deliverAfterEvents(reader: Reader): void {
  readers.add(reader);
}

/** Whether something of this batch is to be handed on after it. */
export function readersWait(): boolean {
  return readers.size > 0;
}

/** The same in the next turn of the event loop. */
export function deliverInNextTurn(reader: Reader, { native }: Carrier): void {
  readers.add(reader);
  native.runSoon();
}

// Without a scope of our own: C++ brings that of its own object, as it does for TCP.
function deliverToReaders(): void {
  const now = [...readers];
  readers.clear();
  for (const reader of now) {
    beginDelivery();
    try {
      reader.deliverToReader();
    } catch (error) {
      throwUncaught(error);
    }
    finishDelivery();
  }
}
