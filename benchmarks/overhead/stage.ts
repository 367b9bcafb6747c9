/** The processes of `npm run bench -- overhead`, and how one window with two of them is measured. */
import type { Churn } from '../pair/churn';
import type { HttpSaying } from '../pair/http-peer';
import type { Load } from '../pair/load';
import { Side } from '../pair/side';
import { withPreload } from '../support/children';

/**
 * Who is measured: where the preload is, and in what state. `again` is `none` in another process,
 * which shows how far the others can be trusted.
 */
export const contestants = [
  'none',
  'again',
  'server',
  'client',
  'client, status off',
  'used server',
  'used client',
] as const;
export type OverheadContestant = (typeof contestants)[number];

export type OverheadWorkload = 'requests' | 'connects';

/** What came of one window. */
export interface OverheadFigure {
  /** Requests or connections in a second. */
  rate: number;
  /** What each side spent on one of them, of the processor. */
  clientMicroseconds: number;
  serverMicroseconds: number;
}

const ADDRESS = '127.0.0.1';
const CONNECTIONS = 32;
/** A server without the preload need not be waited for until it can be reached otherwise. */
const OFF = { RDMA_NET: 'off' };

type Peer = Side<HttpSaying>;

interface Pair {
  client: Peer;
  server: Peer;
  port: number;
}

/** Who of a pair has the preload, if anybody, and what else makes it what it is. */
interface Kind {
  preload?: 'client' | 'server';
  /** Whether it has talked over shared memory before it meets peers that have no rdma-net. */
  used?: true;
  env?: Record<string, string>;
}

const kinds: Record<OverheadContestant, Kind> = {
  none: {},
  again: {},
  server: { preload: 'server' },
  client: { preload: 'client' },
  'client, status off': { preload: 'client', env: { RDMA_NET_STATUS: 'off' } },
  'used server': { preload: 'server', used: true },
  'used client': { preload: 'client', used: true },
};

/**
 * A client and a server for each, for what a process has done before makes it faster. All live through
 * many windows, and wait meanwhile.
 */
export class Stage {
  readonly #sides: Peer[] = [];
  readonly #pairs = new Map<OverheadContestant, Pair>();

  async set(seconds: number): Promise<void> {
    for (const name of contestants) {
      const { preload, env, used } = kinds[name];
      const withServer = preload === 'server';
      const server = await this.#server(withServer ? withPreload : [], withServer ? {} : OFF);
      const client = await this.#client(preload === 'client' ? withPreload : [], env);
      const pair = { client, ...server };
      this.#pairs.set(name, pair);
      await (used === true ? this.#use(pair, withServer, seconds) : this.#load(pair, seconds));
    }
  }

  /** Has one side of a pair talk over shared memory. */
  async #use({ client, server, port }: Pair, isServer: boolean, seconds: number): Promise<void> {
    const pair = isServer
      ? { client: await this.#client(withPreload), server, port }
      : { client, ...(await this.#server(withPreload, {})) };
    const { spent } = await this.#load(pair, seconds);
    if (spent.transports.local !== undefined) return;
    throw new Error('what was to use shared memory first did not');
  }

  /** One window. */
  async measure(
    workload: OverheadWorkload,
    contestant: OverheadContestant,
    seconds: number,
  ): Promise<OverheadFigure> {
    const pair = this.#pairs.get(contestant);
    if (pair === undefined) throw new Error(`there is no ${contestant}`);
    const { client, server } = pair;
    const before = { client: await spentBy(client), server: await spentBy(server) };
    const { count, inAll, took } = await this.#run(workload, pair, seconds);
    const each = async (side: 'client' | 'server'): Promise<number> =>
      (((await spentBy(pair[side])) - before[side]) * 1e6) / inAll;
    const clientMicroseconds = await each('client');
    return { rate: count / took, clientMicroseconds, serverMicroseconds: await each('server') };
  }

  async end(): Promise<void> {
    for (const side of this.#sides) await side.end();
  }

  kill(): void {
    for (const side of this.#sides) side.kill();
  }

  async #run(workload: OverheadWorkload, pair: Pair, seconds: number) {
    if (workload === 'requests') {
      const { loaded } = await this.#load(pair, seconds);
      return { count: loaded.requests, inAll: loaded.requestsInAll, took: loaded.seconds };
    }
    const { client, port } = pair;
    client.tell({ port, address: ADDRESS, atOnce: 1, seconds } satisfies Churn);
    const { churned } = await client.says('churned');
    return { count: churned.connects, inAll: churned.connects, took: churned.seconds };
  }

  async #load({ client, port }: Pair, seconds: number) {
    const url = `http://${ADDRESS}:${port}/`;
    client.tell({ url, connections: CONNECTIONS, seconds, bytes: 0 } satisfies Load);
    const done = await client.says('done');
    const { failures, problem = '' } = done.loaded;
    if (failures > 0) throw new Error(`${failures} requests failed: ${problem}`);
    return done;
  }

  async #server(flags: string[], env: Record<string, string>) {
    const server = new Side<HttpSaying>('pair/http-peer.js', ['server', ADDRESS], env, flags);
    this.#sides.push(server);
    return { server, port: (await server.says('ready')).ports.http };
  }

  async #client(flags: string[], env: Record<string, string> = {}): Promise<Peer> {
    const client = new Side<HttpSaying>('pair/http-peer.js', ['client'], env, flags);
    this.#sides.push(client);
    await client.says('ready');
    return client;
  }
}

async function spentBy(side: Peer): Promise<number> {
  side.tell({});
  return (await side.says('spent')).spent.cpuSeconds;
}
