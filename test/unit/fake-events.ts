/** Events of the fake transport: in batches, from the event loop, never from inside of a call. */

import { EVENT_WORDS, EventKind, type EventsCallback } from '../../lib/native';

const MAX_EVENTS = 64;

function releasesId(kind: number | undefined): boolean {
  return (
    kind === EventKind.Closed || kind === EventKind.ConnectFailed || kind === EventKind.ListenFailed
  );
}

export class FakeEvents {
  readonly records = new Int32Array(MAX_EVENTS * EVENT_WORDS);
  readonly #onEvents: EventsCallback;
  readonly #isOpen: (id: number) => boolean;
  #queue: number[][] = [];
  #scheduled: NodeJS.Immediate | undefined;

  /** @param isOpen whether an id is that of a connection or listener */
  constructor(onEvents: EventsCallback, isOpen: (id: number) => boolean) {
    this.#onEvents = onEvents;
    this.#isOpen = isOpen;
  }

  post(kind: EventKind, id: number, a = 0, b = 0, c = 0): void {
    this.#queue.push([kind, id, a, b, c, 0]);
    this.#scheduled ??= setImmediate(this.#flush);
  }

  /** Whether an id has been released, and the program has not been told. */
  isReleased(id: number): boolean {
    return this.#queue.some(([kind, other]) => other === id && releasesId(kind));
  }

  deliverNow(): void {
    clearImmediate(this.#scheduled);
    this.#flush();
  }

  readonly #flush = (): void => {
    this.#scheduled = undefined;
    const batch = this.#queue
      .splice(0, MAX_EVENTS)
      .filter(([kind, id]) => this.#isWanted(kind, id));
    batch.forEach((record, index) => {
      this.records.set(record, index * EVENT_WORDS);
    });
    if (this.#queue.length > 0) this.#scheduled ??= setImmediate(this.#flush);
    if (batch.length > 0 && this.#onEvents(batch.length)) this.#onEvents(0);
  };

  runSoon(): void {
    setImmediate(() => this.#onEvents(0));
  }

  // What was posted before the other side closed the id must not come after.
  #isWanted(kind: number | undefined, id: number | undefined): boolean {
    return id === undefined || releasesId(kind) || this.#isOpen(id);
  }
}
