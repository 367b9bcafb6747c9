import { percentilesOf, type Percentiles } from '../../lib/statistics';

/** How long all connections are loaded before answers count, in parts of how long they count then. */
const SETTLE_SHARE = 0.5;

/**
 * The time in which answers count. It begins when all connections are there and as many answers have
 * come since, for a thousand connections take longer to be made than many a measurement lasts; and it
 * does not end before as many have come again, for large answers to many come in waves. It begins
 * after half of its own length at least: what the measurement before has left behind, such as memory
 * of closed connections, is cleared up by then.
 */
export class LoadWindow {
  readonly #connections: number;
  readonly #seconds: number;
  readonly #microseconds: number[] = [];
  #connected = 0;
  #connectedMs = NaN;
  #warmingUp = 0;
  #startMs = NaN;
  #endMs = NaN;
  #requestsInAll = 0;

  constructor(connections: number, seconds: number) {
    this.#connections = connections;
    this.#seconds = seconds;
  }

  /** Counts a connection, and says whether it is the last of them. */
  connected(): 'last' | 'more to come' {
    this.#connected++;
    if (this.#connected < this.#connections) return 'more to come';
    this.#connectedMs = performance.now();
    return 'last';
  }

  /** Counts an answer, and says whether the time is over. */
  answered(milliseconds: number): 'over' | 'open' {
    this.#requestsInAll++;
    if (!Number.isNaN(this.#endMs)) return 'over';
    if (this.#connected < this.#connections) return 'open';
    const now = performance.now();
    if (Number.isNaN(this.#startMs)) {
      this.#warmingUp++;
      const settledMs = now - this.#connectedMs - this.#seconds * 1000 * SETTLE_SHARE;
      if (this.#warmingUp >= this.#connections && settledMs >= 0) this.#startMs = now;
      return 'open';
    }
    this.#microseconds.push(milliseconds * 1000);
    if (now - this.#startMs < this.#seconds * 1000) return 'open';
    if (this.#microseconds.length < this.#connections) return 'open';
    this.#endMs = now;
    return 'over';
  }

  /** NaN for seconds where it was never over. */
  result(): { seconds: number; requests: number; requestsInAll: number; latency: Percentiles } {
    return {
      seconds: (this.#endMs - this.#startMs) / 1000,
      requests: this.#microseconds.length,
      requestsInAll: this.#requestsInAll,
      latency: percentilesOf(this.#microseconds),
    };
  }
}
