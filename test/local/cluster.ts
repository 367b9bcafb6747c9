/** Clusters: the workers listen on one port, and each gets its share of the connections. */
import t, { type Test } from 'tap';
import type { Place } from '../rdma/place';
import type { Saying } from '../rdma/program';
import { LocalProgram, within } from './local-program';

const WORKERS = 4;
const CONNECTIONS = 40;
const REQUESTS = 2000;
const TIMEOUT = { timeout: 60_000 };
const PATIENCE_MS = 10_000;

type Tally = Record<'workers' | 'transports' | 'errors', Record<string, number>>;

/** A cluster, and a client of it that prefers shared memory where the cluster is to change. */
class Cluster {
  readonly primary: LocalProgram;
  readonly #place: Place;
  readonly #clients: LocalProgram[] = [];
  #joined = 0;
  port = 0;

  constructor(
    place: Place,
    policy: 'rr' | 'none',
    kind: 'net' | 'http',
    options?: object,
    mode?: 'prefer',
  ) {
    this.#place = place;
    const listen = JSON.stringify({ port: 0, host: place.address, ...options });
    const env = this.#envOf(mode);
    this.primary = new LocalProgram('cluster', { args: [policy, kind, listen], env });
  }

  #envOf(mode: 'prefer' | undefined): Record<string, string> {
    return mode === undefined || this.#place.transport === 'tcp' ? {} : { RDMA_NET: mode };
  }

  /** Starts so many workers; the numbers of their processes. */
  async fork(count: number): Promise<number[]> {
    const pids: number[] = [];
    for (let n = 0; n < count; n++) this.primary.tell('fork');
    for (let n = 0; n < count; n++) {
      const { pid, port } = await this.primary.says('joined', this.#joined++);
      this.port = Number(port);
      pids.push(Number(pid));
    }
    return pids;
  }

  client(mode?: 'prefer'): LocalProgram {
    const env = this.#envOf(mode);
    const args = [this.#place.address, String(this.port)];
    const client = new LocalProgram('cluster-client', { args, env });
    this.#clients.push(client);
    return client;
  }

  /** Has a worker end, and waits for that. */
  async remove(how: 'kill' | 'stop', pid: number): Promise<Saying> {
    const index = this.primary.all('exited').length;
    this.primary.tell(`${how} ${pid}`);
    return this.primary.says('exited', index);
  }

  async end(t: Test): Promise<void> {
    for (const program of [...this.#clients, this.primary]) {
      t.match(await program.end(), { code: 0, stderr: '' });
    }
  }
}

/** What came of so many connections at once. */
async function hold(client: LocalProgram, count: number): Promise<Tally> {
  const index = client.all('held').length;
  client.tell(`hold ${count}`);
  const held = (await client.says('held', index)) as unknown as Tally;
  await client.says('released', index);
  return held;
}

const sum = (counts: Record<string, number>): number =>
  Object.values(counts).reduce((total, each) => total + each, 0);

/** Whether these workers, and no others, had between half and double of an equal share each. */
function checkShares(t: Test, { workers }: Pick<Tally, 'workers'>, pids: number[]): void {
  t.same(Object.keys(workers).sort(), pids.map(String).sort(), 'all workers, and no others');
  const share = sum(workers) / pids.length;
  for (const [pid, count] of Object.entries(workers)) {
    t.ok(count >= share / 2 && count <= share * 2, `${count} of ${share} for ${pid}`);
  }
}

function policyTests(place: Place, policy: 'rr' | 'none'): void {
  const { transport } = place;

  void t.test(
    `with the policy ${policy}, ${CONNECTIONS} connections of a client are spread over ${WORKERS} workers`,
    TIMEOUT,
    async (t) => {
      const cluster = new Cluster(place, policy, 'net');
      const pids = await cluster.fork(WORKERS);
      const client = cluster.client();
      const held = await hold(client, CONNECTIONS);
      t.same(held.transports, { [transport]: CONNECTIONS });
      t.same(held.errors, {});
      // The kernel does not promise it.
      if (transport !== 'tcp' || policy === 'rr') checkShares(t, held, pids);
      await cluster.end(t);
    },
  );
}

function changeTests(place: Place): void {
  const { transport } = place;

  void t.test('clients of one connection each are spread over the workers', TIMEOUT, async (t) => {
    const cluster = new Cluster(place, 'rr', 'net');
    const pids = await cluster.fork(WORKERS);
    const clients = Array.from({ length: 2 * WORKERS }, () => cluster.client());
    const tallies = await Promise.all(clients.map((client) => hold(client, 1)));
    const workers: Record<string, number> = {};
    for (const [pid] of tallies.flatMap((tally) => Object.entries(tally.workers))) {
      workers[pid] = (workers[pid] ?? 0) + 1;
    }
    checkShares(t, { workers }, pids);
    await cluster.end(t);
  });

  void t.test(
    'the others go on when a worker is killed, and one in its place gets its share',
    TIMEOUT,
    async (t) => {
      const cluster = new Cluster(place, 'rr', 'net');
      const pids = await cluster.fork(WORKERS);
      const client = cluster.client();
      checkShares(t, await hold(client, CONNECTIONS), pids);
      for (const victim of pids.slice(0, 2)) {
        t.match(await cluster.remove('kill', victim), { pid: victim, signal: 'SIGKILL' });
        pids.splice(pids.indexOf(victim), 1);
        const fewer = await hold(client, CONNECTIONS);
        t.match(fewer, { transports: { [transport]: CONNECTIONS }, errors: {} });
        checkShares(t, fewer, pids);
        pids.push(...(await cluster.fork(1)));
        checkShares(t, await hold(client, CONNECTIONS), pids);
      }
      await cluster.end(t);
    },
  );

  void t.test(
    'no connection is lost while workers close their servers, one after the other, and others come',
    TIMEOUT,
    async (t) => {
      const cluster = new Cluster(place, 'rr', 'net');
      const pids = await cluster.fork(WORKERS);
      const client = cluster.client('prefer');
      await client.says('ready');
      client.tell('storm 8');
      for (const pid of [...pids]) {
        t.match(await within(PATIENCE_MS, 'the end', cluster.remove('stop', pid)), { code: 0 });
        await cluster.fork(1);
      }
      client.tell('halt');
      const halted = (await client.says('halted')) as unknown as Tally;
      t.comment(JSON.stringify(halted));
      t.same(halted.errors, {});
      t.ok((halted.transports[transport] ?? 0) > sum(halted.transports) / 2);
      await cluster.end(t);
    },
  );
}

function serverTests(place: Place): void {
  const { transport } = place;

  void t.test('an http server in a cluster answers every request', TIMEOUT, async (t) => {
    const cluster = new Cluster(place, 'rr', 'http');
    const pids = await cluster.fork(2);
    const client = cluster.client();
    client.tell(`load ${REQUESTS}`);
    const loaded = (await client.says('loaded')) as unknown as Tally;
    t.same(loaded.transports, { [transport]: REQUESTS });
    t.same(loaded.errors, {});
    t.same(Object.keys(loaded.workers).sort(), pids.map(String).sort());
    await cluster.end(t);
  });

  void t.test('a worker can listen on every address', TIMEOUT, async (t) => {
    const cluster = new Cluster(place, 'rr', 'net', { host: undefined });
    const pids = await cluster.fork(2);
    const held = await hold(cluster.client(), CONNECTIONS);
    t.same(held.transports, { [transport]: CONNECTIONS });
    checkShares(t, held, pids);
    await cluster.end(t);
  });

  void t.test(
    'a worker that has enough connections leaves more to the others',
    TIMEOUT,
    async (t) => {
      const cluster = new Cluster(place, 'rr', 'net', { maxConnections: 1 }, 'prefer');
      const pids = await cluster.fork(2);
      t.match(await hold(cluster.client('prefer'), 2), { transports: { tcp: 2 }, errors: {} });
      t.match(cluster.primary.all('joined'), Array(pids.length).fill({ transports: ['tcp'] }));
      await cluster.end(t);
    },
  );

  void t.test('with exclusive, each worker has a port of its own', TIMEOUT, async (t) => {
    const cluster = new Cluster(place, 'rr', 'net', { exclusive: true });
    for (const pid of [...(await cluster.fork(1)), ...(await cluster.fork(1))]) {
      cluster.port = Number(cluster.primary.all('joined').find((said) => said.pid === pid)?.port);
      const held = await hold(cluster.client(), 4);
      t.same(held, { event: 'held', ...held, workers: { [pid]: 4 }, errors: {} });
      t.same(held.transports, { [transport]: 4 });
    }
    await cluster.end(t);
  });

  void t.test(
    'a second worker cannot have a port that another has to itself',
    TIMEOUT,
    async (t) => {
      const cluster = new Cluster(place, 'rr', 'net', { exclusive: true });
      await cluster.fork(1);
      const other = new Cluster(place, 'rr', 'net', { port: cluster.port, exclusive: true });
      other.primary.tell('fork');
      t.match(await other.primary.says('failed'), { code: 'EADDRINUSE' });
      for (const each of [other, cluster]) await each.end(t);
    },
  );
}

export function clusterTests(place: Place): void {
  for (const policy of ['rr', 'none'] as const) policyTests(place, policy);
  changeTests(place);
  serverTests(place);
}
