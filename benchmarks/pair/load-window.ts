import { percentilesOf, type Percentiles } from '../../lib/statistics';

/**
 * The time in which answers count. It begins when all connections are there and as many answers have
 * come since, for a thousand connections take longer to be made than many a measurement lasts; and it
 * does not end before as many have come again, for large answers to many come in waves.
 */
export class LoadWindow {
  readonly #connections: number;
  readonly #seconds: number;
  readonly #microseconds: number[] = [];
  #connected = 0;
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
    return this.#connected === this.#connections ? 'last' : 'more to come';
  }

  /** Counts an answer, and says whether the time is over. */
  answered(milliseconds: number): 'over' | 'open' {
    this.#requestsInAll++;
    if (!Number.isNaN(this.#endMs)) return 'over';
    if (this.#connected < this.#connections) return 'open';
    const now = performance.now();
    if (Number.isNaN(this.#startMs)) {
      this.#warmingUp++;
      if (this.#warmingUp === this.#connections) this.#startMs = now;
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
