/**
 * The measurement of `npm run bench -- hosts`, on the host of the clients: everyone of
 * {@link hostsContestants}, in interleaved rounds. Prints one line of JSON, a {@link HostsComparison},
 * and progress on standard error.
 *
 *     node hosts-compare.js ADDRESS ROUNDS SECONDS
 */
import os from 'node:os';
import { calibrate } from '../../lib/bench/calibrate';
import { hostsContestants, type HostsContestant } from './contestants';
import { figureOfTransfer, hostsWorkloads, type HostsName, type HostsWorkload } from './workloads';
import { thisMachine, type Machine } from '../support/machine';
import { smcStatistics, whyNoSmcOn, type SmcStatistics } from './smc';
import { rotated } from '../../lib/statistics';
import type { Transfer } from '../pair/transfer-peer';

/** What one contestant did in one round. */
export interface HostsRow {
  workload: string;
  contestant: HostsName;
  round: number;
  /** MiB a second, microseconds of a round trip, or requests a second. */
  figure: number;
  /** Milliseconds, of requests. */
  latencyP50Ms?: number;
  latencyP99Ms?: number;
}

/** Somebody who could not take part, or not to the end. */
export interface Absent {
  contestant: HostsName;
  workload: string;
  reason: string;
}

export interface HostsComparison {
  /** Each of the two hosts. */
  machine: Machine;
  rows: HostsRow[];
  absent: Absent[];
  /** What the client's kernel counted of SMC in the end; absent if nobody used it. */
  smc?: SmcStatistics;
}

/** Something that hangs is given up; what took so long would be no result. */
const PATIENCE_MS = 60_000;
/** Autocannon counts in whole seconds, of which the first has connecting in it. */
const HTTP_SECONDS_MIN = 3;

async function within<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const fail = (): void => reject(new Error(`nothing came of it in ${PATIENCE_MS / 1000} s`));
    timer = setTimeout(fail, PATIENCE_MS);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

class Comparing {
  readonly rows: HostsRow[] = [];
  readonly absent: Absent[] = [];
  readonly #contestants: Map<HostsName, HostsContestant>;
  readonly #seconds: number;
  readonly #sizes = new Map<string, Transfer>();

  constructor(address: string, seconds: number) {
    this.#contestants = new Map(
      Object.entries(hostsContestants(address)) as [HostsName, HostsContestant][],
    );
    this.#seconds = seconds;
    const reason = whyNoSmcOn(os.release());
    if (reason !== undefined) this.#leave('smc', 'all', reason);
  }

  /** Warms up, and finds how long transfers have to be; http warms up by itself. */
  async prepare(workload: HostsWorkload): Promise<void> {
    if (workload.kind === 'http') return;
    await this.#each(workload, 0, async (contestant, name) => {
      say(`preparing ${workload.name}, ${name} ...`);
      const transfer = await calibrate(workload, contestant, this.#seconds);
      this.#sizes.set(`${workload.name}, ${name}`, transfer);
    });
  }

  async measure(workload: HostsWorkload, round: number): Promise<void> {
    await this.#each(workload, round, async (contestant, name) => {
      const row = { workload: workload.name, contestant: name, round };
      if (workload.kind === 'http') {
        const result = await contestant.load(
          workload.connections,
          Math.max(HTTP_SECONDS_MIN, this.#seconds),
        );
        const { requestsPerSecond: figure, latencyP50Ms, latencyP99Ms } = result;
        this.rows.push({ ...row, figure, latencyP50Ms, latencyP99Ms });
      } else {
        const transfer = this.#sizes.get(`${workload.name}, ${name}`) as Transfer;
        const { seconds } = await contestant.transfer(transfer);
        this.rows.push({ ...row, figure: figureOfTransfer(workload, transfer, seconds) });
      }
    });
  }

  end(): void {
    for (const contestant of this.#contestants.values()) contestant.kill();
  }

  async #each(
    workload: HostsWorkload,
    round: number,
    work: (contestant: HostsContestant, name: HostsName) => Promise<void>,
  ): Promise<void> {
    for (const name of rotated(workload.contestants, round)) {
      const contestant = this.#contestants.get(name);
      if (contestant === undefined) continue;
      try {
        await within(work(contestant, name));
      } catch (error) {
        this.#leave(name, workload.name, error instanceof Error ? error.message : String(error));
      }
    }
  }

  /** Takes a contestant out, with what it has measured of this workload so far. */
  #leave(contestant: HostsName, workload: string, reason: string): void {
    say(`without ${contestant} from here on: ${workload}: ${reason}`);
    this.absent.push({ contestant, workload, reason });
    this.#contestants.get(contestant)?.kill();
    this.#contestants.delete(contestant);
    const kept = this.rows.filter(
      (row) => row.contestant !== contestant || row.workload !== workload,
    );
    this.rows.splice(0, this.rows.length, ...kept);
  }
}

function say(text: string): void {
  process.stderr.write(`${(performance.now() / 1000).toFixed(0).padStart(3)} s: ${text}\n`);
}

async function main(): Promise<void> {
  const [address = '', rounds = '1', seconds = '1'] = process.argv.slice(2);
  const comparing = new Comparing(address, Number(seconds));
  for (const workload of hostsWorkloads) await comparing.prepare(workload);
  for (let round = 0; round < Number(rounds); round++) {
    for (const workload of hostsWorkloads) {
      say(`round ${round + 1} of ${rounds}: ${workload.name} ...`);
      await comparing.measure(workload, round);
    }
  }
  const { rows, absent } = comparing;
  const usedSmc = rows.some(({ contestant }) => contestant === 'smc');
  const comparison: HostsComparison = {
    machine: thisMachine({ lab: true, device: 'rxe0' }),
    rows,
    absent,
    ...(usedSmc ? { smc: await smcStatistics() } : {}),
  };
  process.stdout.write(`${JSON.stringify(comparison)}\n`, () => {
    comparing.end();
    // A contestant that hangs would keep this process, and with it the guest.
    process.exit(0);
  });
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
