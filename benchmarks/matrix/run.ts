/**
 * The measurement of `npm run bench`, on the machine (or guest) it runs on. As a program it prints
 * one line of JSON, {@link Results}, and progress on standard error:
 *
 *     node dist/benchmarks/matrix/run.js ADDRESS MATRIX_OPTIONS_IN_JSON
 */
import { thisMachine } from '../support/machine';
import { matrixContestants } from './contestants';
import { matrixWorkloads, type MatrixSelection } from './workloads';
import { comparePairs, countSteps, type PairContestant, type PairRow } from '../pair/compare';
import { Progress } from '../support/progress';
import {
  latencyLists,
  resultHead,
  rounded,
  type Measurement,
  type Results,
} from '../report/result-file';

export interface MatrixOptions extends MatrixSelection {
  /** Names of {@link matrixContestants}. */
  transports: readonly string[];
  rounds: number;
  seconds: number;
  lab: boolean;
  /** The RDMA device, if one takes part. */
  device: string | null;
}

function measurementFrom(rows: readonly PairRow[]): Measurement | undefined {
  const [first] = rows;
  if (first === undefined) return undefined;
  const latencies = rows.flatMap(({ latency }) => (latency === undefined ? [] : [latency]));
  const lists = Object.entries(latencyLists(latencies)).map(([name, list]) => [
    name,
    rounded(list),
  ]);
  return {
    workload: first.workload,
    contestant: first.contestant,
    figures: rounded(rows.map(({ figure }) => figure)),
    cpuSeconds: rounded(rows.map(({ cpuSeconds }) => cpuSeconds)),
    ...(latencies.length === 0
      ? {}
      : { latency: Object.fromEntries(lists) as ReturnType<typeof latencyLists> }),
  };
}

export function contestantsNamed(names: readonly string[]): PairContestant[] {
  return names.map((name) => {
    const found = matrixContestants[name];
    if (found === undefined) throw new Error(`there is no transport ${name}`);
    return { ...found, name, takesPartIn: () => true };
  });
}

export async function runMatrix(address: string, options: MatrixOptions): Promise<Results> {
  const { transports, rounds, seconds, lab, device } = options;
  const chosen = matrixWorkloads(options);
  const workloads = chosen.map(({ workload }) => workload);
  const contestants = contestantsNamed(transports);
  const compared = { address, workloads, contestants, rounds, seconds };
  const progress = new Progress(countSteps(compared));
  const notes: string[] = [];
  const rows = await comparePairs({
    ...compared,
    say: (text) => progress.say(text),
    leaveOut: ({ message }) => {
      progress.say(`left out: ${message}`);
      notes.push(`${message}; so it is left out.`);
    },
    step: (workload, contestant) => progress.step(`${workload}, ${contestant}`),
  });
  progress.end();
  const measurements = workloads.flatMap(({ name }) =>
    transports.flatMap((transport) => {
      const own = (row: PairRow): boolean => row.workload === name && row.contestant === transport;
      return measurementFrom(rows.filter(own)) ?? [];
    }),
  );
  return {
    ...resultHead(),
    machine: thisMachine({ lab, device }),
    ...{ rounds, seconds },
    contestants: transports.map((name) => ({
      name,
      title: matrixContestants[name]?.title ?? name,
    })),
    workloads: chosen.map(({ result }) => result),
    measurements,
    ...(notes.length > 0 ? { notes } : {}),
  };
}

if (require.main === module) {
  const [address = '', json = ''] = process.argv.slice(2);
  runMatrix(address, JSON.parse(json) as MatrixOptions).then(
    (results) => void process.stdout.write(`${JSON.stringify(results)}\n`),
    (error: unknown) => {
      console.error(error);
      process.exitCode = 1;
    },
  );
}
