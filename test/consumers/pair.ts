/** Two processes, client and server, that run consumers under the preload. */

import path from 'node:path';
import type { TransportName } from '../../lib/mode';
import { Child, preload, root } from '../rdma/program';
import { within } from '../local/local-program';
import type { Start } from './consumers';

/** What a socket ran on, and why if it was TCP and the client's. */
export interface SocketSeen {
  readonly transport?: TransportName;
  readonly reason?: string;
}

/** What a side made of a command. */
interface Answer {
  readonly port?: number;
  /** Why a server can be reached over TCP only. */
  readonly reason?: string;
  readonly sockets?: readonly SocketSeen[];
  readonly failed?: { readonly name: string; readonly message: string };
}

export interface PairOptions {
  /** The node to run. */
  readonly node: string;
  readonly transport: TransportName;
  readonly address: string;
  /** Of each step of an exchange. */
  readonly timeoutMs: number;
}

/** The consumer is not in this version of Node. */
export class NotThere extends Error {
  override readonly name = 'NotThere';
}

const programs = path.join(root, 'test', 'consumers', 'programs');
const quotedPreload = JSON.stringify(preload);

function commandOf(node: string, start: Start): string[] {
  switch (start) {
    case 'require':
      return [node, '--require', preload];
    case 'import':
      return [node, '--import', preload];
    case 'options':
      return [node];
    case 'command':
      return [node, path.join(root, 'dist', 'lib', 'cli.js'), 'run'];
    case 'late':
      return [node, '--require', path.join(programs, 'captured.js'), '--require', preload];
  }
}

/** One of the two processes. */
class Side {
  readonly #child: Child;
  readonly #timeoutMs: number;
  #asked = 0;

  constructor({ node, transport, address, timeoutMs }: PairOptions, start: Start) {
    const folder = path.join(root, 'build', 'consumers');
    const settings = JSON.stringify({ address, folder, transport });
    const env = {
      NODE_OPTIONS: start === 'options' ? `--require ${quotedPreload}` : '',
      RDMA_NET: 'prefer',
      // RDMA owns no loopback address: sockets there go to TCP, with everything else in place.
      RDMA_NET_TRANSPORTS: transport === 'local' ? 'local' : 'rdma',
      // What is slow here is the machine, and an attempt on TCP would hide it.
      RDMA_NET_HEAD_START_MS: '20000',
    };
    const command = [...commandOf(node, start), path.join(programs, 'side.js'), settings];
    this.#child = new Child(command, { env, shared: true });
    this.#timeoutMs = timeoutMs;
  }

  /** @throws when the side failed, ended or did not answer in time */
  async ask(verb: string, details: object = {}): Promise<Answer> {
    const id = this.#asked++;
    this.#child.tell(JSON.stringify({ id, verb, ...details }));
    const saying = await within(this.#timeoutMs, verb, this.#child.says(`answer ${id}`));
    const answer = saying as unknown as Answer;
    const { failed } = answer;
    if (failed === undefined) return answer;
    if (failed.name === 'NotThere') throw new NotThere(failed.message);
    throw new Error(`${verb}: ${failed.message}`);
  }

  /** Ends it, and tells what was wrong with its end. */
  async end(): Promise<string | undefined> {
    try {
      const { code, stderr } = await within(this.#timeoutMs, 'the end', this.#child.end());
      const signal = await this.#child.ended();
      return code === 0 ? undefined : `status ${signal ?? code}: ${stderr}`;
    } catch (error) {
      this.kill();
      return (error as Error).message;
    }
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

/** What both sides saw of an exchange that went as it should. */
export interface Exchange {
  /** Why the server could be reached over TCP only. */
  readonly reason?: string | undefined;
  readonly client: readonly SocketSeen[];
  /** Empty if the server is no Node program. */
  readonly server: readonly SocketSeen[];
}

export class Pair {
  readonly #server: Side;
  readonly #client: Side;

  constructor(options: PairOptions, start: Start) {
    this.#server = new Side(options, start);
    this.#client = new Side(options, start);
  }

  /** Server and client under the preload; `target` is the port of what the server passes bytes to. */
  async exchange(consumer: string, target?: number): Promise<Exchange> {
    const { port, reason } = await this.#server.ask('serve', { consumer, target });
    const { sockets: client = [] } = await this.#client.ask('call', { consumer, port });
    const { sockets: server = [] } = await this.#server.ask('stop');
    return { reason, client, server };
  }

  /** Only the client, with a server that is no Node program. */
  async call(consumer: string, port: number): Promise<Exchange> {
    const { sockets: client = [] } = await this.#client.ask('call', { consumer, port });
    return { client, server: [] };
  }

  /** Ends both processes, and tells what was wrong with their ends. */
  async end(): Promise<string[]> {
    const ends = await Promise.all([this.#client.end(), this.#server.end()]);
    return ends.filter((each) => each !== undefined);
  }

  kill(): void {
    this.#server.kill();
    this.#client.kill();
  }
}
