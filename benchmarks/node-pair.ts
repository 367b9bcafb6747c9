import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { root } from './children';
import type { Measured } from './contestants';
import type { Saying, Spent, Transfer } from './transfer-peer';

/** One side: a Node process that lives through the whole benchmark. */
class Side {
  readonly child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(command: string[], env: Record<string, string>) {
    this.child = spawn(command[0] ?? '', command.slice(1), {
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    if (this.child.stdout === null) throw new Error('the child has no standard output');
    this.#lines = createInterface(this.child.stdout)[Symbol.asyncIterator]();
  }

  /** The next thing that it says, which has to be this. */
  async says<E extends Saying['event']>(event: E): Promise<Saying & { event: E }> {
    const line = await this.#lines.next();
    if (line.done === true) throw new Error(`Node ended before it said ${event}`);
    const saying = JSON.parse(line.value) as Saying;
    if (saying.event === event) return saying as Saying & { event: E };
    throw new Error(`Node said ${line.value} where ${event} was expected`);
  }

  async end(): Promise<void> {
    const closed = once(this.child, 'close');
    this.child.stdin?.end();
    await closed;
  }
}

/** A Node server and a Node client that transfer as they are told. */
export class NodePair {
  readonly #server: Side;
  readonly #client: Side;

  private constructor(server: Side, client: Side) {
    this.#server = server;
    this.#client = client;
  }

  /** @param flags for node, of the server and of the client */
  static async start(
    address: string,
    mode: 'require' | 'off',
    flags: (side: 'server' | 'client') => string[] = () => [],
  ): Promise<NodePair> {
    const begin = (side: 'server' | 'client', ...more: string[]): Side => {
      const preload = path.join(root, 'dist', 'lib', 'preload.js');
      const program = path.join(__dirname, 'transfer-peer.js');
      const node = [process.execPath, ...flags(side), '--require', preload];
      return new Side([...node, program, side, address, ...more], { RDMA_NET: mode });
    };
    const server = begin('server');
    const { port } = await server.says('ready');
    const client = begin('client', String(port));
    await client.says('ready');
    return new NodePair(server, client);
  }

  async transfer(transfer: Transfer): Promise<Measured> {
    this.#client.child.stdin?.write(`${JSON.stringify(transfer)}\n`);
    const client = await this.#client.says('done');
    const server = await this.#server.says('done');
    const spent: { client: Spent; server: Spent } = { client: client.spent, server: server.spent };
    return { seconds: client.seconds, spent };
  }

  async end(): Promise<void> {
    await this.#client.end();
    await this.#server.end();
  }
}
