import type { HttpSaying, Load, Loaded, SpentOnHttp } from './http-peer';
import { Side, withPreload } from './side';

/** An http server and autocannon, each in its process, and on the same transport. */
export class HttpPair {
  readonly #server: Side<HttpSaying>;
  readonly #client: Side<HttpSaying>;
  readonly #address: string;
  readonly #ports: { http: number; https: number };
  #before = 0;

  private constructor(
    server: Side<HttpSaying>,
    client: Side<HttpSaying>,
    address: string,
    ports: { http: number; https: number },
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
    const server = new Side<HttpSaying>('http-peer.js', ['server', address, ...files], env, [
      ...withPreload,
      ...flags('server'),
    ]);
    const { port, securePort } = await server.says('ready');
    const clientEnv = { ...env, NODE_TLS_REJECT_UNAUTHORIZED: '0', NODE_NO_WARNINGS: '1' };
    const client = new Side<HttpSaying>('http-peer.js', ['client'], clientEnv, [
      ...withPreload,
      ...flags('client'),
    ]);
    await client.says('ready');
    return new HttpPair(server, client, address, { http: port, https: securePort });
  }

  /** What it gave, and the processor time of both sides. */
  async load(
    protocol: 'http' | 'https',
    load: Omit<Load, 'url'>,
  ): Promise<Loaded & { cpuSeconds: number; transports: string[] }> {
    const path = load.bytes > 0 ? load.bytes : '';
    const url = `${protocol}://${this.#address}:${this.#ports[protocol]}/${path}`;
    const before = await this.#spent();
    this.#client.tell({ ...load, url });
    const done = await this.#client.says('done');
    const server = await this.#spent();
    const total = server.cpuSeconds + done.spent.cpuSeconds;
    const cpuSeconds = total - before.cpuSeconds - this.#before;
    this.#before = done.spent.cpuSeconds;
    const names = [...Object.keys(server.transports), ...Object.keys(done.spent.transports)];
    return { ...done.loaded, cpuSeconds, transports: [...new Set(names)] };
  }

  async end(): Promise<void> {
    await this.#client.end();
    await this.#server.end();
  }

  kill(): void {
    this.#client.kill();
    this.#server.kill();
  }

  async #spent(): Promise<SpentOnHttp> {
    this.#server.tell({});
    return (await this.#server.says('spent')).spent;
  }
}
