/** How long single operations took, in microseconds: half of them at most `p50`, and so on. */
export interface Percentiles {
  p50: number;
  p90: number;
  p99: number;
  p999: number;
}

export const percentileNames = ['p50', 'p90', 'p99', 'p999'] as const;

const shares: Percentiles = { p50: 0.5, p90: 0.9, p99: 0.99, p999: 0.999 };

/** NaN in every field where there are no numbers. */
export function percentilesOf(microseconds: readonly number[]): Percentiles {
  const sorted = Float64Array.from(microseconds).sort();
  const at = (share: number): number => sorted[Math.ceil(share * sorted.length) - 1] ?? NaN;
  return {
    p50: at(shares.p50),
    p90: at(shares.p90),
    p99: at(shares.p99),
    p999: at(shares.p999),
  };
}
