/**
 * The measurement of `npm run bench` and `npm run bench -- local`: two processes of one host for each
 * who takes part, in interleaved rounds.
 */
import { withCertificate } from './certificate';
import { calibrate } from '../../lib/bench/calibrate';
import { HttpPair } from './http-pair';
import { TransferPair } from './transfer-pair';
import type { ConnectWorkload, HttpWorkload, PairWorkload, TransferWorkload } from './workloads';
import type { Percentiles } from '../../lib/statistics';
import { rotated } from '../../lib/statistics';
import type { Transfer } from './transfer-peer';

/** A way for two processes to talk. */
export interface PairContestant {
  name: string;
  env: Record<string, string>;
  /** What its sockets have to say that they run on. */
  transport: string;
  takesPartIn(workload: PairWorkload): boolean;
}

/** What one contestant did in one round. */
export interface PairRow {
  workload: string;
  contestant: string;
  round: number;
  /** In the unit of the workload's figure. */
  figure: number;
  /** Processor time of both sides for the work that the workload counts by. */
  cpuSeconds: number;
  /** Of requests, round trips or connects; not of writes that go one way. */
  latency?: Percentiles;
}

export interface CompareOptions {
  address: string;
  workloads: readonly PairWorkload[];
  contestants: readonly PairContestant[];
  rounds: number;
  /** Of one transfer or run. */
  seconds: number;
  /** Told what happens. */
  say: (text: string) => void;
  /** Called before each measurement, those that only warm up included, of {@link countSteps}. */
  step?: (workload: string, contestant: string) => void;
  /** Told of requests that failed, whose workload is left out then; without it that is an error. */
  leaveOut?: (failure: RequestsFailed) => void;
  /** For node, of the server and of the client. */
  flags?: (side: 'server' | 'client') => string[];
}

type Measured = Pick<PairRow, 'figure' | 'cpuSeconds' | 'latency'>;

const WORK_COUNT = 100_000;
/** Enough to have everything compiled. */
const WARM_CONNECTIONS = 10;

/** Requests that failed, so that a figure of the others would mislead. */
export class RequestsFailed extends Error {
  readonly workload: string;
  readonly contestant: string;

  constructor(workload: string, contestant: string, problem: string) {
    super(`${workload}, ${contestant}: ${problem}`);
    this.workload = workload;
    this.contestant = contestant;
  }

  concerns({ workload, contestant }: { workload: string; contestant: string }): boolean {
    return this.workload === workload && this.contestant === contestant;
  }
}

/** One contestant with its processes, which begin when they are needed first. */
class Participant {
  readonly contestant: PairContestant;
  readonly #options: CompareOptions;
  readonly #certificate: string[];
  readonly #sizes = new Map<string, Transfer>();
  #transfers: TransferPair | undefined;
  #http: HttpPair | undefined;

  constructor(contestant: PairContestant, options: CompareOptions, certificate: string[]) {
    this.contestant = contestant;
    this.#options = options;
    this.#certificate = certificate;
  }

  /** Has everything compiled and warm, and finds how much is to be transferred. */
  async prepare(workload: PairWorkload): Promise<void> {
    const { seconds } = this.#options;
    this.#options.step?.(workload.name, this.contestant.name);
    if (workload.kind === 'transfer') {
      const pair = await this.#transferPair();
      this.#sizes.set(workload.name, await calibrate(workload, pair, seconds));
    } else if (workload.kind === 'http') {
      const connections = Math.min(workload.connections, WARM_CONNECTIONS);
      await this.#load({ ...workload, connections }, seconds / 2);
    } else await this.#run(workload, seconds / 2);
  }

  async measure(workload: PairWorkload, round: number): Promise<PairRow> {
    this.#options.step?.(workload.name, this.contestant.name);
    const measured = await this.#run(workload, this.#options.seconds);
    return { workload: workload.name, contestant: this.contestant.name, round, ...measured };
  }

  async end(): Promise<void> {
    await this.#transfers?.end();
    await this.#http?.end();
  }

  kill(): void {
    this.#transfers?.kill();
    this.#http?.kill();
  }

  async #transferPair(): Promise<TransferPair> {
    const { address, flags } = this.#options;
    this.#transfers ??= await TransferPair.start(address, this.contestant.env, flags);
    return this.#transfers;
  }

  async #httpPair(): Promise<HttpPair> {
    const { address, flags } = this.#options;
    const { env } = this.contestant;
    this.#http ??= await HttpPair.start(address, this.#certificate, env, flags);
    return this.#http;
  }

  async #run(workload: PairWorkload, seconds: number): Promise<Measured> {
    switch (workload.kind) {
      case 'transfer':
        return this.#transfer(workload);
      case 'http':
        return this.#load(workload, seconds);
      case 'connect':
        return this.#churn(workload, seconds);
    }
  }

  async #transfer(workload: TransferWorkload): Promise<Measured> {
    const transfer = this.#sizes.get(workload.name);
    if (transfer === undefined) throw new Error(`${workload.name} was not prepared`);
    const { seconds, spent, latency } = await (await this.#transferPair()).transfer(transfer);
    if (spent === undefined) throw new Error('Node did not say what it spent');
    const sides = [spent.client, spent.server];
    this.#checkTransports(sides.map(({ transport }) => transport));
    const cpu = sides.reduce((sum, side) => sum + side.userSeconds + side.systemSeconds, 0);
    const { bytes, count, turns } = transfer;
    if (workload.figure === 'round trip') {
      const cpuSeconds = (cpu / turns) * WORK_COUNT;
      return { figure: (seconds / turns) * 1e6, cpuSeconds, ...(latency && { latency }) };
    }
    const mebibytes = (bytes * count * turns) / 2 ** 20;
    return { figure: mebibytes / seconds, cpuSeconds: (cpu / mebibytes) * 1024 };
  }

  async #load(workload: HttpWorkload, seconds: number): Promise<Measured> {
    const { name, protocol, connections, bytes } = workload;
    const pair = await this.#httpPair();
    const loaded = await pair.load(protocol, { connections, seconds, bytes });
    this.#checkTransports(loaded.transports);
    if (loaded.failures > 0) {
      const failed = `${loaded.failures} requests failed: ${loaded.problem ?? 'not answered 200'}`;
      throw new RequestsFailed(name, this.contestant.name, failed);
    }
    return {
      figure: loaded.requests / loaded.seconds,
      cpuSeconds: (loaded.cpuSeconds / loaded.requestsInAll) * WORK_COUNT,
      latency: loaded.latency,
    };
  }

  async #churn({ atOnce }: ConnectWorkload, seconds: number): Promise<Measured> {
    const churned = await (await this.#httpPair()).churn({ atOnce, seconds });
    this.#checkTransports(churned.transports);
    return {
      figure: churned.connects / churned.seconds,
      cpuSeconds: (churned.cpuSeconds / churned.connects) * WORK_COUNT,
      latency: churned.latency,
    };
  }

  /** @throws Error when sockets ran on something else than what is measured */
  #checkTransports(transports: string[]): void {
    const { name, transport } = this.contestant;
    if (transports.length > 0 && transports.every((each) => each === transport)) return;
    throw new Error(`the sockets of ${name} ran on ${transports.join(' and ')}, not ${transport}`);
  }
}

/** How often `step` is called. */
export function countSteps(
  options: Pick<CompareOptions, 'workloads' | 'contestants' | 'rounds'>,
): number {
  const { workloads, contestants, rounds } = options;
  const taking = workloads.flatMap((workload) =>
    contestants.filter((contestant) => contestant.takesPartIn(workload)),
  );
  return taking.length * (rounds + 1);
}

async function compare(options: CompareOptions, certificate: string[]): Promise<PairRow[]> {
  const { workloads, rounds, say } = options;
  const all = options.contestants.map((each) => new Participant(each, options, certificate));
  const taking = (workload: PairWorkload): Participant[] =>
    all.filter(({ contestant }) => contestant.takesPartIn(workload));
  try {
    say('warming up ...');
    for (const workload of workloads) {
      for (const participant of taking(workload)) await participant.prepare(workload);
    }
    const rows: PairRow[] = [];
    const failures: RequestsFailed[] = [];
    const measure = async (participant: Participant, workload: PairWorkload, round: number) => {
      try {
        rows.push(await participant.measure(workload, round));
      } catch (error) {
        if (!(error instanceof RequestsFailed) || options.leaveOut === undefined) throw error;
        failures.push(error);
        options.leaveOut(error);
      }
    };
    for (let round = 0; round < rounds; round++) {
      say(`round ${round + 1} of ${rounds} ...`);
      for (const workload of workloads) {
        for (const participant of rotated(taking(workload), round)) {
          await measure(participant, workload, round);
        }
      }
    }
    for (const participant of all) await participant.end();
    return rows.filter((row) => !failures.some((failure) => failure.concerns(row)));
  } catch (error) {
    for (const participant of all) participant.kill();
    throw error;
  }
}

/** Measures; rejects when a socket ran on something else, or when bytes did not arrive. */
export function comparePairs(options: CompareOptions): Promise<PairRow[]> {
  const secure = options.workloads.some(
    (each) => each.kind === 'http' && each.protocol === 'https',
  );
  return secure ? withCertificate((files) => compare(options, files)) : compare(options, []);
}
