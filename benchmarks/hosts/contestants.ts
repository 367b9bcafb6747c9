/** Who takes part in `npm run bench -- hosts`: the server is on the other host. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { firstLine, nodeWithPreload, root, scriptFile, withPreload } from '../support/children';
import type { Measured } from '../pair/transfer-pair';
import { overRdma, overTcp } from '../support/environments';
import { secondsOfRstream } from '../transfer/c-programs';
import type { HostsName } from './workloads';
import type { LoadResult } from '../http/load';
import { RemoteProcess } from './remote-process';
import { nextSaying, Side } from '../pair/side';
import { smcPreload, smcStatistics, whyNotSmc } from './smc';
import type { Saying, Transfer } from '../pair/transfer-peer';

const run = promisify(execFile);

export interface HostsContestant {
  transfer(transfer: Transfer): Promise<Measured>;
  load(connections: number, seconds: number): Promise<LoadResult>;
  /** For when something went wrong: it may be in the middle of something. */
  kill(): void;
}

// A port may be in use for a while by who was connected to it.
let nextPort = 20_000;

/** Does something, and makes sure that it went where it was meant to. */
type Watch = <T>(sentBytes: number, work: () => Promise<T>) => Promise<T>;

const unwatched: Watch = (_bytes, work) => work();

/** Only the kernel knows: to a program, SMC that fell back to TCP looks like SMC. */
const onSmc: Watch = async (sentBytes, work) => {
  const before = await smcStatistics();
  const result = await work();
  const why = whyNotSmc(before, await smcStatistics(), sentBytes);
  if (why !== undefined) throw new Error(why);
  return result;
};

/** What Node's sockets run on, and who sees to it that they do. */
interface OnNode {
  env: Record<string, string>;
  /** What they say of themselves; that they are on SMC they cannot know. */
  transport: string;
  watch: Watch;
}

/** Plain programs of Node, under the preload. */
class OverNode implements HostsContestant {
  readonly #address: string;
  readonly #on: OnNode;
  #transfers: { server: RemoteProcess; client: Side<Saying> } | undefined;
  #http: { server: RemoteProcess; url: string } | undefined;

  constructor(address: string, on: OnNode) {
    this.#address = address;
    this.#on = on;
  }

  async transfer(transfer: Transfer): Promise<Measured> {
    const { server, client } = (this.#transfers ??= await this.#startTransfers());
    const { watch, transport } = this.#on;
    const { bytes, count, turns } = transfer;
    return watch(bytes * count * turns, async () => {
      client.tell(transfer);
      const done = await client.says('done');
      const { spent } = await nextSaying<Saying, 'done'>(server.lines, 'done');
      if (done.spent.transport !== transport) throw new Error(`it was on ${done.spent.transport}`);
      return { seconds: done.seconds, spent: { client: done.spent, server: spent } };
    });
  }

  async load(connections: number, seconds: number): Promise<LoadResult> {
    const { url } = (this.#http ??= await this.#startHttp());
    const { env, watch, transport } = this.#on;
    return watch(1, async () => {
      const args = [url, String(connections), String(seconds)];
      const child = nodeWithPreload('dist/benchmarks/http/load.js', args, env);
      const result = JSON.parse(await firstLine(child)) as LoadResult;
      if (result.failures > 0) throw new Error(`${result.failures} requests failed`);
      const others = Object.keys(result.transports).filter((name) => name !== transport);
      if (others.length > 0) throw new Error(`it was on ${others.join(', ')}`);
      return result;
    });
  }

  kill(): void {
    this.#transfers?.client.kill();
    this.#transfers?.server.kill();
    this.#http?.server.kill();
  }

  async #startTransfers() {
    const script = 'pair/transfer-peer.js';
    const server = this.#serve([scriptFile(script), 'server', this.#address], {}, true);
    const { port } = await nextSaying<Saying, 'ready'>(server.lines, 'ready');
    const args = ['client', this.#address, String(port)];
    const client = new Side<Saying>(script, args, this.#on.env);
    await client.says('ready');
    return { server, client };
  }

  async #startHttp() {
    const port = String(nextPort++);
    const script = path.join(root, 'examples', 'http-server.js');
    const server = this.#serve([script], { HOST: this.#address, PORT: port }, false);
    await server.listens();
    return { server, url: `http://${this.#address}:${port}/` };
  }

  #serve(args: string[], env: Record<string, string>, endsWithInput: boolean): RemoteProcess {
    return new RemoteProcess(this.#address, {
      command: process.execPath,
      args: [...withPreload, ...args],
      env: { ...this.#on.env, ...env },
      endsWithInput,
    });
  }
}

/** rstream of rdma-core; `flags` are its own. */
class OverRstream implements HostsContestant {
  readonly #address: string;
  readonly #flags: string[];
  readonly #transport: 'rdma' | 'tcp';
  #server: RemoteProcess | undefined;

  constructor(address: string, flags: string[], transport: 'rdma' | 'tcp') {
    this.#address = address;
    this.#flags = flags;
    this.#transport = transport;
  }

  async transfer({ bytes, count, turns }: Transfer): Promise<Measured> {
    const port = String(nextPort++);
    const size = ['-S', String(bytes), '-C', String(count), '-I', String(turns), '-p', port];
    const both = [...size, ...this.#flags];
    this.#server = new RemoteProcess(this.#address, {
      command: 'rstream',
      args: ['-b', this.#address, ...both],
      env: {},
      listens: { port, transport: this.#transport },
      endsWithInput: false,
    });
    await this.#server.listens();
    const { stdout } = await run('rstream', ['-s', this.#address, ...both]);
    await this.#server.end();
    return { seconds: secondsOfRstream(stdout, 2 * count * turns) };
  }

  load(): Promise<LoadResult> {
    return Promise.reject(new Error('rstream speaks no http'));
  }

  kill(): void {
    this.#server?.kill();
  }
}

export function hostsContestants(address: string): Record<HostsName, HostsContestant> {
  return {
    rdma: new OverNode(address, { env: overRdma, transport: 'rdma', watch: unwatched }),
    tcp: new OverNode(address, { env: overTcp, transport: 'tcp', watch: unwatched }),
    smc: new OverNode(address, {
      env: { ...overTcp, LD_PRELOAD: smcPreload },
      transport: 'tcp',
      watch: onSmc,
    }),
    rstream: new OverRstream(address, [], 'rdma'),
    'rstream -T b': new OverRstream(address, ['-T', 'b'], 'rdma'),
    'rstream -T s -T b': new OverRstream(address, ['-T', 's', '-T', 'b'], 'tcp'),
  };
}
