import type { Percentiles } from '../../lib/statistics';
import { withPreload } from '../support/children';
import { Side } from './side';
import type { Saying, Spent, Transfer } from './transfer-peer';

/** What one transfer gave. */
export interface Measured {
  /** As the contestant itself measured them, from its first byte to its last. */
  seconds: number;
  /** Of the turns, of Node only. */
  latency?: Percentiles;
  /** Of Node only. */
  spent?: { client: Spent; server: Spent };
}

/** A Node server and a Node client that transfer as they are told. */
export class TransferPair {
  readonly #server: Side<Saying>;
  readonly #client: Side<Saying>;

  private constructor(server: Side<Saying>, client: Side<Saying>) {
    this.#server = server;
    this.#client = client;
  }

  /**
   * @param env of both: what they run on
   * @param flags for node, of the server and of the client
   */
  static async start(
    address: string,
    env: Record<string, string>,
    flags: (side: 'server' | 'client') => string[] = () => [],
  ): Promise<TransferPair> {
    const begin = (side: 'server' | 'client', ...more: string[]): Side<Saying> =>
      new Side('pair/transfer-peer.js', [side, address, ...more], env, [
        ...withPreload,
        ...flags(side),
      ]);
    const server = begin('server');
    const { port } = await server.says('ready');
    const client = begin('client', String(port));
    await client.says('ready');
    return new TransferPair(server, client);
  }

  async transfer(transfer: Transfer): Promise<Measured> {
    this.#client.tell(transfer);
    const client = await this.#client.says('done');
    const server = await this.#server.says('done');
    const spent: { client: Spent; server: Spent } = { client: client.spent, server: server.spent };
    const { seconds, latency } = client;
    return { seconds, spent, ...(latency === undefined ? {} : { latency }) };
  }

  async end(): Promise<void> {
    await this.#client.end();
    await this.#server.end();
  }

  kill(): void {
    this.#client.kill();
    this.#server.kill();
  }
}
