/** What rdma-net costs a program whose peers have none: all of it is TCP, with the preload or without. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Churn } from '../pair/churn';
import type { HttpSaying } from '../pair/http-peer';
import type { Load } from '../pair/load';
import { Side } from '../pair/side';
import { withPreload } from '../support/children';
import { rotated } from '../../lib/statistics';

/** Who is measured: where the preload is, and in what state. */
export const contestants = ['none', 'server', 'client', 'used server', 'used client'] as const;
export type OverheadContestant = (typeof contestants)[number];

/** What is measured, and in what. */
export const overheadUnits = { requests: 'requests/s', connects: 'connections/s' } as const;
export type OverheadWorkload = keyof typeof overheadUnits;

export interface OverheadRow {
  workload: OverheadWorkload;
  contestant: OverheadContestant;
  round: number;
  /** For a second. */
  figure: number;
}

export interface OverheadOptions {
  rounds: number;
  /** Of one run. */
  seconds: number;
  say: (text: string) => void;
}

const ADDRESS = '127.0.0.1';
const CONNECTIONS = 32;
/** Of a run that makes connections, beside one of requests: each of them leaves a port behind. */
const CONNECT_SHARE = 0.3;

type Peer = Side<HttpSaying>;

function clientOf(flags: string[]): Peer {
  return new Side<HttpSaying>('pair/http-peer.js', ['client'], {}, flags);
}

/** A server that is on its own port, and says so when it can be reached. */
async function startServer(flags: string[], env: Record<string, string>) {
  const side = new Side<HttpSaying>('pair/http-peer.js', ['server', ADDRESS], env, flags);
  return { side, port: (await side.says('ready')).ports.http };
}

/**
 * The processes of all. Those that are `used` have talked to each other over shared memory before
 * they meet peers that have no rdma-net.
 */
class Stage {
  readonly #sides: Peer[] = [];
  readonly #pairs = new Map<OverheadContestant, { client: Peer; port: number }>();

  async set(seconds: number): Promise<void> {
    const plainServer = await this.#server([], { RDMA_NET: 'off' });
    const freshServer = await this.#server(withPreload, {});
    const usedServer = await this.#server(withPreload, {});
    const [plain, fresh, used] = [[], withPreload, withPreload].map((flags) => this.#client(flags));
    if (plain === undefined || fresh === undefined || used === undefined) return;
    for (const client of [plain, fresh, used]) await client.says('ready');
    this.#pairs.set('none', { client: plain, port: plainServer });
    this.#pairs.set('server', { client: plain, port: freshServer });
    this.#pairs.set('client', { client: fresh, port: plainServer });
    this.#pairs.set('used server', { client: plain, port: usedServer });
    this.#pairs.set('used client', { client: used, port: plainServer });
    await this.#use(used, usedServer, seconds);
  }

  async measure(workload: OverheadWorkload, contestant: OverheadContestant, seconds: number) {
    const pair = this.#pairs.get(contestant);
    if (pair === undefined) throw new Error(`there is no ${contestant}`);
    const { client, port } = pair;
    if (workload === 'requests') return this.#load(client, port, seconds);
    const churn = { port, address: ADDRESS, atOnce: 1, seconds: seconds * CONNECT_SHARE };
    client.tell(churn satisfies Churn);
    const { churned } = await client.says('churned');
    return churned.connects / churned.seconds;
  }

  async end(): Promise<void> {
    for (const side of this.#sides) await side.end();
  }

  kill(): void {
    for (const side of this.#sides) side.kill();
  }

  async #server(flags: string[], env: Record<string, string>): Promise<number> {
    const { side, port } = await startServer(flags, env);
    this.#sides.push(side);
    return port;
  }

  #client(flags: string[]): Peer {
    const side = clientOf(flags);
    this.#sides.push(side);
    return side;
  }

  async #load(client: Peer, port: number, seconds: number): Promise<number> {
    const url = `http://${ADDRESS}:${port}/`;
    const load: Load = { url, connections: CONNECTIONS, seconds, bytes: 0 };
    client.tell(load);
    const { loaded } = await client.says('done');
    if (loaded.failures > 0) throw new Error(`${loaded.failures} requests failed`);
    return loaded.requests / loaded.seconds;
  }

  async #use(client: Peer, port: number, seconds: number): Promise<void> {
    const url = `http://${ADDRESS}:${port}/`;
    client.tell({ url, connections: CONNECTIONS, seconds, bytes: 0 });
    const { spent } = await client.says('done');
    if (spent.transports.local === undefined) {
      throw new Error('what was to use shared memory first did not');
    }
  }
}

/** Interleaved rounds of all. */
export async function compareOverhead(options: OverheadOptions): Promise<OverheadRow[]> {
  const { rounds, seconds, say } = options;
  const stage = new Stage();
  const workloads: OverheadWorkload[] = ['requests', 'connects'];
  try {
    say('warming up ...');
    await stage.set(seconds);
    for (const workload of workloads) {
      for (const each of contestants) await stage.measure(workload, each, seconds);
    }
    const rows: OverheadRow[] = [];
    for (let round = 0; round < rounds; round++) {
      say(`round ${round + 1} of ${rounds} ...`);
      for (const workload of workloads) {
        for (const contestant of rotated(contestants, round)) {
          const figure = await stage.measure(workload, contestant, seconds);
          rows.push({ workload, contestant, round, figure });
        }
      }
    }
    await stage.end();
    return rows;
  } catch (error) {
    stage.kill();
    throw error;
  }
}

/** How much longer Node takes to start and end with the preload, in milliseconds, of each pair. */
export async function compareStart(pairs: number): Promise<number[]> {
  const differences: number[] = [];
  for (let index = 0; index < pairs; index++) {
    const [first, second] = rotated([[], withPreload], index);
    const times = [await timeStart(first ?? []), await timeStart(second ?? [])];
    const [plain = NaN, ours = NaN] = index % 2 === 0 ? times : times.reverse();
    differences.push(ours - plain);
  }
  return differences;
}

async function timeStart(flags: string[]): Promise<number> {
  const started = performance.now();
  const child = spawn(process.execPath, [...flags, '-e', '0'], { stdio: 'inherit' });
  await once(child, 'exit');
  return performance.now() - started;
}
