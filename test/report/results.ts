/** Small results of known figures. */
import { percentileNames } from '../../lib/statistics';
import {
  SCHEMA,
  VERSION,
  type Measurement,
  type Results,
  type ResultWorkload,
} from '../../benchmarks/report/result-file';

const contestants = [
  { name: 'tcp', title: 'TCP' },
  { name: 'local', title: 'shared memory' },
];

const common = { moreIsBetter: true, work: 'much', connections: 1 };

export const workloads: ResultWorkload[] = [
  {
    ...common,
    ...{ name: '64 KiB writes', group: 'throughput', unit: 'MiB/s', size: '64 KiB', bytes: 65_536 },
  },
  {
    ...common,
    ...{ name: '64 B round trip', group: 'round trip', unit: 'us', size: '64 B', bytes: 64 },
    moreIsBetter: false,
  },
  { ...common, ...{ name: 'connects, 1 at once', group: 'connects', unit: 'connections/s' } },
  ...[1, 100].flatMap((connections) =>
    ['http', 'https', 'http2'].map((group) => {
      const name = `${group} hello world, ${connections} connection${connections === 1 ? '' : 's'}`;
      const about = { name, group, unit: 'requests/s', size: 'hello world', bytes: 0 };
      return { ...common, ...about, connections };
    }),
  ),
];

export const machine: Results['machine'] = {
  lab: false,
  platform: 'linux x64',
  kernel: '6.1.0',
  processor: 'Processor of Nobody',
  processors: 2,
  memoryGibibytes: 4,
  node: 'v20.0.0',
  device: null,
};

/** Everyone has these figures in three rounds, at everything. */
export const figures: Record<string, number[]> = { tcp: [100, 90, 110], local: [300, 290, 310] };

function measurement(workload: ResultWorkload, contestant: string): Measurement {
  const own = figures[contestant] ?? [];
  const latency = percentileNames.map((name, index) => [
    name,
    own.map((each) => each * 10 ** index),
  ]);
  return {
    ...{ workload: workload.name, contestant, figures: own, cpuSeconds: own },
    latency: Object.fromEntries(latency) as NonNullable<Measurement['latency']>,
  };
}

export function fixture(): Results {
  return {
    ...{ schema: SCHEMA, version: VERSION, date: '2026-01-31', release: '1.2.3' },
    ...{ machine: { ...machine }, rounds: 3, seconds: 1, contestants, workloads },
    measurements: workloads.flatMap((workload) =>
      contestants.map(({ name }) => measurement(workload, name)),
    ),
  };
}

/** With other figures of one contestant at one workload. */
export function withFigures(
  results: Results,
  workload: string,
  contestant: string,
  changed: number[],
): Results {
  const measurements = results.measurements.map((each) =>
    each.workload === workload && each.contestant === contestant
      ? { ...each, figures: changed }
      : each,
  );
  return { ...results, measurements };
}
