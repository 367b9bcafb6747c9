import { build, type Histogram } from 'hdr-histogram-js';

/**
 * Histograms for autocannon that are not WebAssembly: its own crash now and then on an emulated
 * processor, over TCP too, when it asks them for a mean. Its types do not know the option.
 */
export function histograms(): Record<string, Histogram> {
  const make = (highest: number, digits: 3 | 5): Histogram =>
    build({
      bitBucketSize: 64,
      autoResize: true,
      lowestDiscernibleValue: 1,
      highestTrackableValue: highest,
      numberOfSignificantValueDigits: digits,
    });
  return { latencies: make(1e4, 5), requests: make(1e6, 3), throughput: make(1e11, 3) };
}
