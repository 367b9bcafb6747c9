/**
 * What `npm run bench` writes with `--json`, and `report`, `readme` and `compare` read. The page
 * docs/benchmarks.md describes the format; a change that old readers would misunderstand gets
 * another version.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root } from '../support/children';
import type { Machine } from '../support/machine';
import { percentileNames, type Percentiles } from '../../lib/statistics';

export const SCHEMA = 'rdma-net benchmark';
export const VERSION = 1;

/** What was done, and in what its figures are. */
export interface ResultWorkload {
  name: string;
  /** What it belongs to: throughput, there and back, round trip, connects, http, https or http2. */
  group: string;
  unit: string;
  moreIsBetter: boolean;
  /** For how much work `cpuSeconds` are. */
  work: string;
  /** Of a write, or of the body of an answer, with the name that it has for readers. */
  bytes?: number;
  size?: string;
  /** At the same time. */
  connections: number;
}

export interface ResultContestant {
  name: string;
  title: string;
}

/** One contestant at one workload. All its lists have one number for each round, in their order. */
export interface Measurement {
  workload: string;
  contestant: string;
  figures: number[];
  /** Processor time of client and server together, where it was looked at. */
  cpuSeconds?: number[];
  /** In microseconds. */
  latency?: Partial<Record<keyof Percentiles, number[]>>;
}

export interface Results {
  schema: typeof SCHEMA;
  version: typeof VERSION;
  /** The day, in UTC. */
  date: string;
  /** The version of rdma-net. */
  release: string;
  /** Each, where there are several. */
  machine: Machine;
  /** How many hosts took part, if more than one. */
  hosts?: number;
  rounds: number;
  /** Of each measurement. */
  seconds: number;
  /** The first is what others are compared with. */
  contestants: ResultContestant[];
  workloads: ResultWorkload[];
  measurements: Measurement[];
  /** Sentences for readers: who did not take part and why, and the like. */
  notes?: string[];
}

/** How results begin that are made now, with this version of rdma-net. */
export function resultHead(): Pick<Results, 'schema' | 'version' | 'date' | 'release'> {
  const manifest = readFileSync(path.join(root, 'package.json'), 'utf8');
  return {
    schema: SCHEMA,
    version: VERSION,
    date: new Date().toISOString().slice(0, 10),
    release: (JSON.parse(manifest) as { version: string }).version,
  };
}

export function measurementOf(
  { measurements }: Pick<Results, 'measurements'>,
  workload: string,
  contestant: string,
): Measurement | undefined {
  return measurements.find((each) => each.workload === workload && each.contestant === contestant);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function areNumbers(value: unknown, count: number): boolean {
  return Array.isArray(value) && value.length === count && value.every(Number.isFinite);
}

function problemOf(measurement: Record<string, unknown>, results: Results): string | undefined {
  const { workload, contestant, figures, cpuSeconds, latency } = measurement;
  const { rounds } = results;
  const lists = {
    figures,
    ...(cpuSeconds === undefined ? {} : { cpuSeconds }),
    ...(isObject(latency) ? latency : {}),
  };
  if (!results.workloads.some(({ name }) => name === workload)) return 'of an unknown workload';
  if (!results.contestants.some(({ name }) => name === contestant)) {
    return 'of an unknown contestant';
  }
  const wrong = Object.entries(lists).find(([, list]) => !areNumbers(list, rounds));
  return wrong && `without ${rounds} numbers as its ${wrong[0]}`;
}

/** @throws Error saying what is wrong, where a value is not {@link Results} of this version */
export function checkResults(value: unknown): Results {
  if (!isObject(value) || value['schema'] !== SCHEMA) throw new Error(`not a ${SCHEMA}`);
  if (value['version'] !== VERSION) {
    throw new Error(`version ${String(value['version'])}; this program reads version ${VERSION}`);
  }
  for (const list of ['contestants', 'workloads', 'measurements']) {
    if (!Array.isArray(value[list])) throw new Error(`no list ${list}`);
  }
  if (!isObject(value['machine'])) throw new Error('no machine');
  const results = value as unknown as Results;
  for (const measurement of value['measurements'] as Record<string, unknown>[]) {
    const problem = problemOf(measurement, results);
    if (problem !== undefined) {
      const { workload, contestant } = measurement;
      throw new Error(`a measurement ${problem}: ${String(workload)}, ${String(contestant)}`);
    }
  }
  return results;
}

/** @throws Error with the name of the file where it is none of results */
export function readResults(file: string): Results {
  try {
    return checkResults(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    throw new Error(`${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** A JSON with a line for each entry of its lists, so that a change of one can be read. */
export function showResults(results: Results): string {
  const members = Object.entries(results).map(([name, value]: [string, unknown]) => {
    if (!Array.isArray(value)) return `  "${name}": ${JSON.stringify(value)}`;
    const entries = value.map((entry) => `    ${JSON.stringify(entry)}`);
    return `  "${name}": [\n${entries.join(',\n')}\n  ]`;
  });
  return `{\n${members.join(',\n')}\n}\n`;
}

export function writeResults(file: string, results: Results): void {
  writeFileSync(file, showResults(results));
}

/**
 * Both in one; what both have measured is taken from the later.
 * @throws Error where they were not measured alike
 */
export function joinResults(earlier: Results, later: Results): Results {
  const alike = (of: (results: Results) => unknown): boolean =>
    JSON.stringify(of(earlier)) === JSON.stringify(of(later));
  if (!alike(({ machine, hosts }) => [machine, hosts]))
    throw new Error('they are of different machines');
  if (!alike(({ rounds, seconds, release }) => [rounds, seconds, release])) {
    throw new Error('they are of different releases, rounds or seconds');
  }
  if (!alike(({ contestants }) => contestants)) throw new Error('their contestants differ');
  const isNew = ({ name }: ResultWorkload): boolean =>
    later.workloads.some((workload) => workload.name === name);
  const kept = earlier.workloads.filter((workload) => !isNew(workload));
  // What is said of a workload begins with its name.
  const stillTrue = (earlier.notes ?? []).filter(
    (note) => !later.workloads.some(({ name }) => note.startsWith(`${name}, `)),
  );
  const notes = [...stillTrue, ...(later.notes ?? [])];
  return {
    ...later,
    ...(notes.length > 0 ? { notes } : {}),
    workloads: [...kept, ...later.workloads],
    measurements: [
      ...earlier.measurements.filter(({ workload }) => kept.some(({ name }) => name === workload)),
      ...later.measurements,
    ],
  };
}

/** To four digits: more are noise, and make files large. */
export function rounded(values: readonly number[]): number[] {
  return values.map((value) => Number(value.toPrecision(4)));
}

/** Lists of the percentiles of each round. */
export function latencyLists(rounds: readonly Percentiles[]): Record<keyof Percentiles, number[]> {
  const lists = percentileNames.map((name) => [name, rounds.map((each) => each[name])]);
  return Object.fromEntries(lists) as Record<keyof Percentiles, number[]>;
}
