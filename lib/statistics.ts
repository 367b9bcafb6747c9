/** The middle of some numbers, and how far they reach. */
export interface Spread {
  median: number;
  least: number;
  most: number;
}

/** NaN in every field where there are no numbers. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const [below, above] = [(sorted.length - 1) >> 1, sorted.length >> 1];
  return {
    median: ((sorted[below] ?? NaN) + (sorted[above] ?? NaN)) / 2,
    least: sorted[0] ?? NaN,
    most: sorted.at(-1) ?? NaN,
  };
}

/** `median [least, most]`, or a dash where there is nothing. */
export function showSpread(values: readonly number[], digits: number): string {
  if (values.length === 0) return '-';
  const { median, least, most } = spreadOf(values);
  return `${median.toFixed(digits)} [${least.toFixed(digits)}, ${most.toFixed(digits)}]`;
}

/**
 * Joins what was measured in the same round. A machine's speed drifts from round to round, and
 * drops out of what is compared within one.
 */
export function pairwise(
  left: readonly number[],
  right: readonly number[],
  join: (left: number, right: number) => number,
): number[] {
  if (left.length !== right.length) {
    throw new RangeError(`${left.length} rounds cannot be paired with ${right.length}`);
  }
  return left.map((value, round) => join(value, right[round] ?? NaN));
}

/** The same in another order in each round, so that nobody always comes first or after another. */
export function rotated<T>(items: readonly T[], round: number): T[] {
  const start = items.length === 0 ? 0 : round % items.length;
  return [...items.slice(start), ...items.slice(0, start)];
}

export const percentileNames = ['p50', 'p90', 'p99', 'p999'] as const;

/** Numbers of which half are at most `p50`, 99.9 % at most `p999`, and so on. */
export type Percentiles = Record<(typeof percentileNames)[number], number>;

/** Each the least of the numbers that so many do not exceed; NaN where there are none. */
export function percentilesOf(values: readonly number[]): Percentiles {
  const sorted = Float64Array.from(values).sort();
  const at = (share: number): number => sorted[Math.ceil(share * sorted.length) - 1] ?? NaN;
  return { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999) };
}
