/** The event 'listening' of a server, put off until it can be reached as it is required to be. */

import type { Server } from 'node:net';

type Emit = (this: Server, event: string | symbol, ...values: unknown[]) => boolean;

/**
 * net.js emits 'listening' in the tick after the call of `listen`. Where TCP does not do, that says
 * too much: clients that wait for it come at once, and find nobody.
 */
export class HeldListening {
  readonly #server: Server;
  #isHolding = true;
  #wasEmitted = false;
  readonly #restore: () => void;

  /** Begins to hold it back; in the tick in which the server has begun to listen. */
  constructor(server: Server) {
    this.#server = server;
    const before = Object.getOwnPropertyDescriptor(server, 'emit');
    const emit = Reflect.get(server, 'emit') as Emit;
    const holding: Emit = (event, ...values) => {
      if (this.#isHolding && event === 'listening') {
        this.#wasEmitted = true;
        return server.listenerCount(event) > 0;
      }
      return emit.call(server, event, ...values);
    };
    Object.defineProperty(server, 'emit', { value: holding, configurable: true, writable: true });
    this.#restore = () => {
      // Not what somebody else has put there meanwhile: that goes on to call ours.
      if (Reflect.get(server, 'emit') !== holding) return;
      if (before !== undefined) Object.defineProperty(server, 'emit', before);
      else Reflect.deleteProperty(server, 'emit');
    };
  }

  /** Emits it, if net.js has done so; else net.js will. */
  release(): void {
    if (!this.#isHolding) return;
    this.drop();
    if (this.#wasEmitted) this.#server.emit('listening');
  }

  /** The server does not listen, or no longer: it is not emitted. */
  drop(): void {
    this.#isHolding = false;
    this.#restore();
  }
}
