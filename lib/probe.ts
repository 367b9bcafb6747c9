/** What goes on when TCP has connected before a peer had time to answer over RDMA. */

import type { Dial } from './dial';
import { RdmaError } from './errors';
import { EventKind, type DetailKind } from './native';
import type { Status } from './native-status';
import { rootedScope } from './scope';
import type { EventSink, FabricTransport } from './transport';

/**
 * Waits for the answer to a connection request that no socket wants any more. Until it comes the peer
 * is known as silent, and if it comes in time as what it is. The connection vanishes in any case: the
 * program of the server never sees it. Nothing is held alive for it.
 */
export class Probe implements EventSink {
  readonly scope = rootedScope('RDMAPROBE');
  readonly #transport: FabricTransport;
  readonly #id: number;
  readonly #dial: Dial;
  readonly #patienceMs: number;
  #timer: NodeJS.Timeout | undefined;

  /** @param patienceMs how long the peer has to answer, once it can have been asked */
  constructor(transport: FabricTransport, id: number, dial: Dial, patienceMs: number) {
    this.#transport = transport;
    this.#id = id;
    this.#dial = dial;
    this.#patienceMs = patienceMs;
  }

  /** @param askedMs for how long the peer has been asked; undefined if it has not been yet */
  start(askedMs: number | undefined): void {
    this.#transport.adopt(this.#id, this);
    if (askedMs !== undefined) this.#wait(this.#patienceMs - askedMs);
  }

  handleEvent(kind: EventKind, _id: number, a: number, b: number, c: number): void {
    if (kind === EventKind.Opened) {
      this.#wait(this.#patienceMs);
    } else if (kind === EventKind.Response || kind === EventKind.Failed) {
      this.#dial.succeed(this.#transport);
      this.#end();
    } else if (kind === EventKind.ConnectFailed) {
      clearTimeout(this.#timer);
      this.#dial.succeed(this.#transport);
      this.#dial.fail(this.#transport, new RdmaError(a as Status, b, c as DetailKind));
    }
  }

  #wait(ms: number): void {
    this.#timer = setTimeout(() => {
      this.#dial.noteSilence(this.#transport);
      this.#end();
    }, ms).unref();
  }

  #end(): void {
    clearTimeout(this.#timer);
    this.#transport.native.reset(this.#id);
  }
}
