/** The native transport of this environment: loading it, and bringing its events to streams. */

import type { AsyncResource } from 'node:async_hooks';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import loadAddon from 'node-gyp-build';
import { debug } from './diagnostics';
import { beginDelivery, endDelivery } from './doorbell';
import { runTicks } from './internals';
import { settings } from './mode';
import {
  EVENT_WORDS,
  EventKind,
  type Binding,
  type Transport,
  type TransportOptions,
} from './native';
import { reasonCodeOf, reasonFor, type Reason } from './reasons';
import { rootScope } from './scope';
import { Status } from './status';

/** What receives the events of one id. */
export interface EventSink {
  /** Events are handled in it, so that AsyncLocalStorage and async_hooks hold. */
  readonly scope: AsyncResource;
  handleEvent(kind: EventKind, id: number, a: number, b: number, c: number): void;
}

/** Something that wants to go on in a later turn of the event loop. */
export interface Continuation {
  readonly scope: AsyncResource;
  continueTurn(): void;
}

/** How long the answer of `probe()` holds, in milliseconds. */
const PROBE_MS = 1000;
/** How long RDMA is left alone after it failed as a whole, in milliseconds. */
const BLOCK_MS = 60_000;
/** The same for failures that pass by themselves. */
const SHORT_BLOCK_MS = 1000;

/** How long the end of the process waits for what was written to be sent, in milliseconds. */
const FAREWELL_MS = 1000;

/** How an injected binding differs from the real one. */
export interface BindingTraits {
  /** True when loopback addresses can be reached over RDMA. */
  ownsLoopback: boolean;
}

let binding: Binding | undefined;
let traits: BindingTraits = { ownsLoopback: false };
let loadFailure: Reason | undefined;
let transport: Transport | undefined;
let probed: { status: Status; untilMs: number } | undefined;
let blocked: { reason: Reason; status: Status; untilMs: number } | undefined;
let refCount = 0;
const sinks = new Map<number, EventSink>();

/**
 * Uses another binding instead of the addon, before anything was connected. For tests.
 * @throws when a transport is there already
 */
export function useBinding(other: Binding, otherTraits: BindingTraits): void {
  if (transport !== undefined) throw new Error('the transport is in use already');
  binding = other;
  traits = otherTraits;
  loadFailure = undefined;
  probed = undefined;
  blocked = undefined;
}

function load(): Binding | undefined {
  if (binding !== undefined || loadFailure !== undefined) return binding;
  try {
    // From dist/lib to the root of the package.
    binding = loadAddon(path.join(__dirname, '..', '..')) as Binding;
  } catch (error) {
    const [line = ''] = String(error instanceof Error ? error.message : error).split('\n', 1);
    loadFailure = reasonFor('addon-missing', line);
  }
  return binding;
}

/** Whether loopback addresses go to RDMA. */
export function ownsLoopback(): boolean {
  return traits.ownsLoopback;
}

/**
 * Why there is no RDMA now, if there is none. Costs microseconds after the first call, and no
 * library is opened for it.
 * @param patient true to ask again although RDMA has failed a short while ago
 */
export function unavailable(patient = false): Reason | undefined {
  if (load() === undefined) return loadFailure;
  const nowMs = performance.now();
  if (blocked !== undefined && !patient) {
    if (nowMs < blocked.untilMs) return blocked.reason;
    blocked = undefined;
  }
  if (transport !== undefined) return undefined;
  if (probed === undefined || nowMs >= probed.untilMs) {
    probed = { status: binding?.probe() ?? Status.NotBuilt, untilMs: nowMs + PROBE_MS };
  }
  return probed.status === Status.Ok ? undefined : reasonFor(reasonCodeOf(probed.status));
}

/** The status behind {@link unavailable}, for the code of an error. */
export function unavailableStatus(): Status {
  if (blocked !== undefined) return blocked.status;
  return probed === undefined || probed.status === Status.Ok ? Status.NoDevice : probed.status;
}

/** Leaves RDMA alone for a while when a status means that all of it failed. */
export function blockAfter(status: Status, detail: string): void {
  if (status < 200) return;
  const passes =
    status === Status.MemoryLockLimit ||
    status === Status.DeviceResources ||
    status === Status.DeviceRemoved ||
    status === Status.PinnedLimit ||
    status === Status.QueuePairLimit;
  const untilMs = performance.now() + (passes ? SHORT_BLOCK_MS : BLOCK_MS);
  const text = transport?.openError() ?? '';
  const reason = reasonFor(reasonCodeOf(status), text === '' ? detail : text);
  blocked = { reason, status, untilMs };
  debug('RDMA failed as a whole: %s %s', reason.code, reason.detail);
}

/** The transport, made at the first call. Only after {@link unavailable} returned undefined. */
export function theTransport(): Transport {
  if (transport !== undefined) return transport;
  if (binding === undefined) throw new Error('the addon is not loaded');
  const { receiveBufferBytes, sendBufferBytes, pinnedBytesMax, queuePairsMax } = settings;
  const options: TransportOptions = {
    ...(receiveBufferBytes === undefined ? {} : { receiveBufferBytes }),
    ...(sendBufferBytes === undefined ? {} : { sendBufferBytes }),
    ...(pinnedBytesMax === undefined ? {} : { pinnedBytesMax }),
    ...(queuePairsMax === undefined ? {} : { queuePairsMax }),
  };
  // The callback of the addon lives in the context of this call: not in that of the first socket.
  transport = rootScope().runInAsyncScope(
    (native: Binding) => native.createTransport(dispatch, options),
    undefined,
    binding,
  );
  // Not with the cleanup of the environment: process.exit() does without it.
  process.once('exit', sayFarewell);
  return transport;
}

function sayFarewell(): void {
  transport?.farewell(FAREWELL_MS);
}

/** The transport if there is one. */
export function openTransport(): Transport | undefined {
  return transport;
}

/** The binding if it could be loaded. */
export function theBinding(): Binding | undefined {
  return load();
}

/** From now on the events of this id go to this sink, until `Closed` or a failure released it. */
export function adopt(id: number, sink: EventSink): void {
  sinks.set(id, sink);
}

/** Keeps the event loop alive until {@link release}. */
export function retain(): void {
  if (refCount++ === 0) transport?.setRef(true);
}

/** Gives back one {@link retain}. */
export function release(): void {
  if (--refCount === 0) transport?.setRef(false);
}

function releasesId(kind: EventKind): boolean {
  return (
    kind === EventKind.Closed || kind === EventKind.ConnectFailed || kind === EventKind.ListenFailed
  );
}

function dispatch(count: number): void {
  const events = transport?.events;
  if (events === undefined) return;
  for (let index = 0; index < count; index++) {
    const at = index * EVENT_WORDS;
    const kind = events[at] as EventKind;
    const id = events[at + 1] ?? -1;
    const a = events[at + 2] ?? 0;
    const key = kind === EventKind.Accepted ? a : id;
    const sink = sinks.get(key);
    if (releasesId(kind)) sinks.delete(key);
    if (sink === undefined) {
      debug('event %d of unknown id %d', kind, id);
      // Nobody will ever close what a listener accepted just before it went away.
      if (kind === EventKind.Accepted) transport?.reset(id);
      continue;
    }
    deliver(sink, kind, id, a, events[at + 3] ?? 0, events[at + 4] ?? 0);
  }
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

const waiting = new Set<Continuation>();

/** Calls `continueTurn` in the next turn of the event loop, once however often it is asked. */
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
  for (const continuation of now) {
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
