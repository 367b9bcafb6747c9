/**
 * What was decided for connections to an address and port, so that those that follow at once need
 * only look whether it still holds. A program that connects often mostly connects to the same peers.
 */

import type { Place } from './native';
import type { Reason } from './reasons';

/** That a connection goes to TCP without another being tried, and why. */
export interface Verdict {
  readonly reason: Reason;
  /**
   * Where a server of this host would be, for which one has to look each time; undefined when the
   * address is not of this host, or no server would count.
   */
  readonly place: Place | undefined;
  /** On the clock of performance.now(). */
  readonly untilMs: number;
  /** Of the settings and of what is known of peers and transports: another one makes it void. */
  readonly version: number;
}

/** How many are kept at most. */
const COUNT_MAX = 4096;

/** See the top of the file. */
export class Verdicts {
  // No key is made of the two: that would cost more than to look twice.
  readonly #byAddress = new Map<string, Map<number, Verdict>>();
  #count = 0;

  /** What was decided for this address and port, whether it holds or not. */
  recall(address: string, port: number): Verdict | undefined {
    return this.#byAddress.get(address)?.get(port);
  }

  keep(address: string, port: number, verdict: Verdict): void {
    // They come back by themselves, and few programs connect to so many peers in a second.
    if (this.#count >= COUNT_MAX) this.#clear();
    let byPort = this.#byAddress.get(address);
    if (byPort === undefined) {
      byPort = new Map();
      this.#byAddress.set(address, byPort);
    }
    if (!byPort.has(port)) this.#count++;
    byPort.set(port, verdict);
  }

  #clear(): void {
    this.#byAddress.clear();
    this.#count = 0;
  }
}
