/** What only trying shows: whether a transport opens, and carries bytes of this process to itself. */

import { AsyncResource } from 'node:async_hooks';
import { randomInt } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { connectionInfo } from '../connection-info';
import { RdmaError } from '../errors';
import { EventKind, Sharing, type DetailKind } from '../native';
import { Status } from '../native-status';
import { reasonFor, type Reason, type ReasonCode } from '../reasons';
import type { EventSink, FabricTransport } from '../transport';
import type { TrialFacts } from './facts';

/** How long libraries and devices may take to open, and a connection to be made, in milliseconds. */
const OPEN_MS_MAX = 8000;
const ANSWER_MS_MAX = 4000;
/** What goes there and back. */
const MESSAGE = Buffer.from('rdma-net doctor');
/** Some port that nobody may have; servers of others have smaller ones most often. */
const PORTS = [20_000, 60_000] as const;
const ATTEMPTS = 3;

/** Opens libraries and devices as a server would. Resolves with why that cannot be done. */
export function tryOpening(transport: FabricTransport): Promise<Reason | undefined> {
  return new Promise((resolve) => {
    const attempt = new Attempt(transport, (failure) => resolve(failure));
    attempt.listen('0.0.0.0', 0, () => attempt.end(undefined));
    attempt.limit(OPEN_MS_MAX, 'connection-failed');
  });
}

/** Connects to itself, and sends a message there and back. */
export async function tryConnecting(
  transport: FabricTransport,
  address: string,
): Promise<TrialFacts> {
  for (let attempt = 1; ; attempt++) {
    const facts = await connectOnce(transport, address);
    const isTaken = /^(address-in-use|local-in-use)$/.test(facts.reason?.code ?? '');
    if (!isTaken || attempt === ATTEMPTS) return facts;
  }
}

function connectOnce(transport: FabricTransport, address: string): Promise<TrialFacts> {
  return new Promise((resolve) => {
    const port = randomInt(...PORTS);
    const facts: TrialFacts = {
      address,
      reason: undefined,
      connectMs: undefined,
      roundTripMs: undefined,
      mtu: undefined,
    };
    const attempt = new Attempt(transport, (reason) => resolve({ ...facts, reason }));
    let [server, startMs] = [-1, 0];
    attempt.listen(address, port, () => {
      startMs = performance.now();
      attempt.connect(address, port);
    });
    attempt.onResponse = (id) => {
      const status = transport.native.establish(id);
      if (status !== Status.Ok) {
        attempt.fail(status, 0, 0);
        return;
      }
      facts.connectMs = performance.now() - startMs;
      facts.mtu = connectionInfo(transport.native, id)?.mtu;
      startMs = performance.now();
      transport.native.write(id, MESSAGE, 0, MESSAGE.length, false);
    };
    attempt.onAccepted = (id) => (server = id);
    attempt.onReadable = (id, bytes) => {
      if (bytes < MESSAGE.length) return;
      const buffer = Buffer.alloc(MESSAGE.length);
      transport.native.read(id, buffer, 0, buffer.length);
      if (id === server) {
        transport.native.write(id, buffer, 0, buffer.length, false);
        return;
      }
      facts.roundTripMs = performance.now() - startMs;
      const right = buffer.equals(MESSAGE);
      attempt.end(right ? undefined : reasonFor('connection-failed', 'other bytes came back'));
    };
    attempt.limit(ANSWER_MS_MAX, 'peer-timeout');
  });
}

/** A listener and what came of it; told how it ended when nothing is left of it. */
class Attempt implements EventSink {
  readonly scope = new AsyncResource('RDMADOCTOR');
  readonly #transport: FabricTransport;
  readonly #done: (failure: Reason | undefined) => void;
  readonly #ids = new Set<number>();
  #onListening = (): void => undefined;
  onResponse: (id: number) => void = () => undefined;
  onAccepted: (id: number) => void = () => undefined;
  onReadable: (id: number, bytes: number) => void = () => undefined;
  #outcome: Reason | undefined;
  #isEnding = false;
  #isDone = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(transport: FabricTransport, done: (failure: Reason | undefined) => void) {
    this.#transport = transport;
    this.#done = done;
    transport.retain();
  }

  listen(address: string, port: number, onListening: () => void): void {
    this.#onListening = onListening;
    this.#add(this.#transport.native.listen(address, port, 4, false, Sharing.Alone));
  }

  connect(address: string, port: number): void {
    this.#add(this.#transport.native.connect(address, port));
  }

  /** Begins the time that there is, and says what it means when it is over. */
  limit(ms: number, code: ReasonCode): void {
    if (this.#isDone) return;
    this.#timer = setTimeout(() => {
      this.end(reasonFor(code, `nothing came back within ${ms / 1000} s`));
      // What hangs may never come to its end.
      this.#finish();
    }, ms);
  }

  #add(id: number): void {
    if (id < 0) {
      this.fail(-id as Status, 0, 0);
      return;
    }
    this.#ids.add(id);
    this.#transport.adopt(id, this);
  }

  fail(status: Status, detail: number, kind: DetailKind): void {
    const failure = new RdmaError(status, detail, kind);
    const text = this.#transport.native.openError();
    const code = this.#transport.reasonCodeOf(status);
    this.end(reasonFor(code, text === '' ? failure.message : text));
  }

  /** Closes everything, and says so when that is done. */
  end(outcome: Reason | undefined): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#outcome = outcome;
    for (const id of this.#ids) this.#transport.native.reset(id);
    if (this.#ids.size === 0) this.#finish();
  }

  #finish(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    clearTimeout(this.#timer);
    this.#transport.release();
    this.#done(this.#outcome);
  }

  handleEvent(kind: EventKind, id: number, a: number, b: number, c: number): void {
    if (kind === EventKind.Listening) this.#onListening();
    else if (kind === EventKind.Response) this.onResponse(id);
    else if (kind === EventKind.Readable) this.onReadable(id, a);
    else if (kind === EventKind.Accepted) this.#onAccepted(id);
    else if (kind === EventKind.Failed) this.fail(a as Status, b, c as DetailKind);
    else if (kind === EventKind.ConnectFailed || kind === EventKind.ListenFailed) {
      this.#ids.delete(id);
      this.fail(a as Status, b, c as DetailKind);
    } else if (kind === EventKind.Closed) this.#ids.delete(id);
    if (this.#isEnding && this.#ids.size === 0) this.#finish();
  }

  #onAccepted(id: number): void {
    this.#add(id);
    if (this.#isEnding) this.#transport.native.reset(id);
    else this.onAccepted(id);
  }
}
