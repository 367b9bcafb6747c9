/** What the programs in-place-sender and in-place-receiver agree on. */

/** Number and length of a message. */
export const HEADER_BYTES = 8;
/** Added to the number of a message whose bytes may be anything. */
export const UNCHECKED = 2 ** 31;

/** A prime, so that no power of two in the engine hides bytes that are in a wrong place. */
const PERIOD = 251;
const LENGTH_MAX = 1 << 20;
const wheel = Buffer.alloc(
  LENGTH_MAX + PERIOD * PERIOD,
  Buffer.from(Array.from({ length: PERIOD }, (_, index) => (index * 7 + 3) & 0xff)),
);

/** The bytes `offset` and following of a message. */
export function patternAt(number: number, length: number, offset = 0): Buffer {
  const start = ((number * 13) % PERIOD) + (offset % PERIOD);
  return wheel.subarray(start, start + length);
}

/** Random numbers that a seed repeats: a linear congruential generator. */
export class Random {
  #state: bigint;

  constructor(seed: number) {
    this.#state = BigInt(seed);
  }

  /** An integer from 0 on, less than `limit`. */
  below(limit: number): number {
    this.#state = BigInt.asUintN(64, this.#state * 6364136223846793005n + 1442695040888963407n);
    return Number((this.#state >> 33n) % BigInt(limit));
  }
}
