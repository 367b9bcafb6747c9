/** The measurement of `npm run bench -- local`: interleaved rounds of all who take part. */
import { calibrate } from './contestants';
import { HttpPair } from './http-pair';
import { withCertificate, type LocalContestant } from './local-contestants';
import type { HttpWorkload, LocalWorkload, TransferWorkload } from './local-workloads';
import { NodePair } from './node-pair';
import { rotated } from './statistics';
import type { Transfer } from './transfer-peer';

/** One transfer, or one run of autocannon, by one contestant. */
export interface LocalRow {
  workload: string;
  contestant: string;
  round: number;
  /** In the unit of the workload's figure. */
  figure: number;
  /** Processor time of both sides for the work that the workload counts by. */
  cpuSeconds: number;
  latencyP99Ms?: number;
}

export interface CompareOptions {
  workloads: readonly LocalWorkload[];
  contestants: readonly LocalContestant[];
  rounds: number;
  /** Of one transfer or run. */
  seconds: number;
  /** Told what happens. */
  say: (text: string) => void;
  /** For node, of the server and of the client. */
  flags?: (side: 'server' | 'client') => string[];
}

const ADDRESS = '127.0.0.1';
const WORK_COUNT = 100_000;

/** @throws Error when sockets ran on something else than what is measured */
function checkTransports(contestant: LocalContestant, transports: string[]): void {
  if (transports.length > 0 && transports.every((each) => each === contestant.transport)) return;
  throw new Error(
    `the sockets of ${contestant.name} ran on ${transports.join(' and ')}, not ${contestant.transport}`,
  );
}

/** One contestant with its processes, which begin when they are needed first. */
class Participant {
  readonly contestant: LocalContestant;
  readonly #options: CompareOptions;
  readonly #certificate: string[];
  readonly #sizes = new Map<string, Transfer>();
  #transfers: NodePair | undefined;
  #http: HttpPair | undefined;

  constructor(contestant: LocalContestant, options: CompareOptions, certificate: string[]) {
    this.contestant = contestant;
    this.#options = options;
    this.#certificate = certificate;
  }

  /** Has everything compiled and warm, and finds how much is to be transferred. */
  async prepare(workload: LocalWorkload): Promise<void> {
    const { seconds } = this.#options;
    if (workload.kind === 'http') await this.#load(workload, seconds / 2);
    else {
      const pair = await this.#transferPair();
      this.#sizes.set(workload.name, await calibrate(workload, pair, seconds));
    }
  }

  async measure(workload: LocalWorkload, round: number): Promise<LocalRow> {
    const measured =
      workload.kind === 'http'
        ? await this.#load(workload, this.#options.seconds)
        : await this.#transfer(workload);
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

  async #transferPair(): Promise<NodePair> {
    const { env } = this.contestant;
    this.#transfers ??= await NodePair.start(ADDRESS, env, this.#options.flags);
    return this.#transfers;
  }

  async #transfer(workload: TransferWorkload) {
    const transfer = this.#sizes.get(workload.name);
    if (transfer === undefined) throw new Error(`${workload.name} was not prepared`);
    const { seconds, spent } = await (await this.#transferPair()).transfer(transfer);
    if (spent === undefined) throw new Error('Node did not say what it spent');
    const sides = [spent.client, spent.server];
    checkTransports(
      this.contestant,
      sides.map(({ transport }) => transport),
    );
    const cpu = sides.reduce((sum, side) => sum + side.userSeconds + side.systemSeconds, 0);
    const { bytes, count, turns } = transfer;
    if (workload.figure === 'round trip') {
      return { figure: (seconds / turns) * 1e6, cpuSeconds: (cpu / turns) * WORK_COUNT };
    }
    const mebibytes = (bytes * count * turns) / 2 ** 20;
    return { figure: mebibytes / seconds, cpuSeconds: (cpu / mebibytes) * 1024 };
  }

  async #load({ name, protocol, connections, bytes }: HttpWorkload, seconds: number) {
    const { flags } = this.#options;
    this.#http ??= await HttpPair.start(ADDRESS, this.#certificate, this.contestant.env, flags);
    const loaded = await this.#http.load(protocol, { connections, seconds, bytes });
    checkTransports(this.contestant, loaded.transports);
    if (loaded.failures > 0) {
      throw new Error(`${name}, ${this.contestant.name}: ${loaded.failures} requests failed`);
    }
    return {
      figure: loaded.requests / loaded.seconds,
      cpuSeconds: (loaded.cpuSeconds / loaded.requests) * WORK_COUNT,
      latencyP99Ms: loaded.latencyP99Ms,
    };
  }
}

async function compare(options: CompareOptions, certificate: string[]): Promise<LocalRow[]> {
  const { workloads, rounds, say } = options;
  const all = options.contestants.map((each) => new Participant(each, options, certificate));
  const taking = (workload: LocalWorkload): Participant[] =>
    all.filter(({ contestant }) => contestant.takesPartIn(workload));
  try {
    say('warming up ...');
    for (const workload of workloads) {
      for (const participant of taking(workload)) await participant.prepare(workload);
    }
    const rows: LocalRow[] = [];
    for (let round = 0; round < rounds; round++) {
      say(`round ${round + 1} of ${rounds} ...`);
      for (const workload of workloads) {
        for (const participant of rotated(taking(workload), round)) {
          rows.push(await participant.measure(workload, round));
        }
      }
    }
    for (const participant of all) await participant.end();
    return rows;
  } catch (error) {
    for (const participant of all) participant.kill();
    throw error;
  }
}

/** Measures; rejects when a socket ran on something else, or when bytes did not arrive. */
export function compareLocally(options: CompareOptions): Promise<LocalRow[]> {
  const secure = options.workloads.some(
    (each) => each.kind === 'http' && each.protocol === 'https',
  );
  return secure ? withCertificate((files) => compare(options, files)) : compare(options, []);
}
