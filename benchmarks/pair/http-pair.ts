import type { Churn, Churned } from './churn';
import type { HttpSaying, Ports, SpentOnHttp } from './http-peer';
import type { Load, Loaded } from './load';
import type { Protocol } from './workloads';
import { withPreload } from '../support/children';
import { Side } from './side';

/** What something took of both sides. */
interface SpentByBoth {
  cpuSeconds: number;
  /** On what their sockets have run so far. */
  transports: string[];
}

/** Http servers and what loads them, each in its process, and on the same transport. */
export class HttpPair {
  readonly #server: Side<HttpSaying>;
  readonly #client: Side<HttpSaying>;
  readonly #address: string;
  readonly #ports: Ports;
  #before = 0;

  private constructor(
    server: Side<HttpSaying>,
    client: Side<HttpSaying>,
    address: string,
    ports: Ports,
  ) {
    this.#server = server;
    this.#client = client;
    this.#address = address;
    this.#ports = ports;
  }

  /**
   * @param files of a key and its certificate; none for a server without https
   * @param env of both: what they run on
   * @param flags for node, of the server and of the client
   */
  static async start(
    address: string,
    files: string[],
    env: Record<string, string>,
    flags: (side: 'server' | 'client') => string[] = () => [],
  ): Promise<HttpPair> {
    const server = new Side<HttpSaying>('pair/http-peer.js', ['server', address, ...files], env, [
      ...withPreload,
      ...flags('server'),
    ]);
    const { ports } = await server.says('ready');
    const clientEnv = { ...env, NODE_TLS_REJECT_UNAUTHORIZED: '0', NODE_NO_WARNINGS: '1' };
    const client = new Side<HttpSaying>('pair/http-peer.js', ['client'], clientEnv, [
      ...withPreload,
      ...flags('client'),
    ]);
    await client.says('ready');
    return new HttpPair(server, client, address, ports);
  }

  /** What it gave, and the processor time of both sides. */
  async load(protocol: Protocol, load: Omit<Load, 'url' | 'http2'>): Promise<Loaded & SpentByBoth> {
    const path = load.bytes > 0 ? load.bytes : '';
    const scheme = protocol === 'https' ? 'https' : 'http';
    const url = `${scheme}://${this.#address}:${this.#ports[protocol]}/${path}`;
    const before = await this.#spent();
    this.#client.tell({ ...load, url, http2: protocol === 'http2' } satisfies Load);
    const { loaded, spent } = await this.#client.says('done');
    return { ...loaded, ...(await this.#spentSince(before, spent)) };
  }

  /** Connections to the http server, with the processor time of both sides. */
  async churn(churn: Pick<Churn, 'atOnce' | 'seconds'>): Promise<Churned & SpentByBoth> {
    const before = await this.#spent();
    const there = { address: this.#address, port: this.#ports.http };
    this.#client.tell({ ...churn, ...there } satisfies Churn);
    const { churned, spent } = await this.#client.says('churned');
    return { ...churned, ...(await this.#spentSince(before, spent)) };
  }

  async end(): Promise<void> {
    await this.#client.end();
    await this.#server.end();
  }

  kill(): void {
    this.#client.kill();
    this.#server.kill();
  }

  async #spentSince(before: SpentOnHttp, client: SpentOnHttp): Promise<SpentByBoth> {
    const server = await this.#spent();
    const total = server.cpuSeconds + client.cpuSeconds;
    const cpuSeconds = total - before.cpuSeconds - this.#before;
    this.#before = client.cpuSeconds;
    const names = [...Object.keys(server.transports), ...Object.keys(client.transports)];
    return { cpuSeconds, transports: [...new Set(names)] };
  }

  async #spent(): Promise<SpentOnHttp> {
    this.#server.tell({});
    return (await this.#server.says('spent')).spent;
  }
}
