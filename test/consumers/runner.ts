/** Runs consumers, and tells of each whether it works. */

import type { Consumer, Start } from './consumers';
import type { Databases } from './databases';
import { NotThere, Pair, type Exchange, type PairOptions, type SocketSeen } from './pair';

/** What came out of one consumer on one Node over one transport. */
export interface Cell {
  readonly consumer: string;
  /** The major version of Node. */
  readonly node: number;
  readonly transport: string;
  /**
   * - `works`: all answers were right, and all sockets were on the transport.
   * - `tcp`: all answers were right, and sockets were on TCP instead; the detail is the reason.
   * - `absent`: it cannot be run here, for what the detail says.
   * - `fails`: with the detail.
   */
  readonly verdict: 'works' | 'tcp' | 'absent' | 'fails';
  readonly detail: string;
}

type Verdict = Pick<Cell, 'verdict' | 'detail'>;

function judge(
  { reason, client, server }: Exchange,
  transport: string,
  consumer: Consumer,
): Verdict {
  const sides: [string, readonly SocketSeen[]][] = [['client', client]];
  // That of a database is not ours to ask.
  if (consumer.database === undefined || transport !== 'tcp') sides.push(['server', server]);
  for (const [name, sockets] of sides) {
    if (sockets.length === 0) return { verdict: 'fails', detail: `the ${name} showed no socket` };
  }
  const others = [...client, ...server].filter((socket) => socket.transport !== transport);
  if (others.length === 0) return { verdict: 'works', detail: '' };
  if (others.some((socket) => socket.transport !== 'tcp')) {
    return { verdict: 'fails', detail: `sockets on ${JSON.stringify(others)}` };
  }
  // What keeps the server from it keeps the client, too.
  const reasons = [reason, ...client.map((socket) => socket.reason)];
  return { verdict: 'tcp', detail: reasons.find((each) => each !== undefined) ?? 'no reason' };
}

export class Runner {
  readonly #options: PairOptions;
  readonly #major: number;
  readonly #databases: Databases;
  readonly #pairs = new Map<Start, Pair>();

  /** @param major that of the node in the options */
  constructor(options: PairOptions, major: number, databases: Databases) {
    this.#options = options;
    this.#major = major;
    this.#databases = databases;
  }

  async run(consumer: Consumer): Promise<Cell> {
    const verdict = await this.#verdict(consumer);
    const { transport } = this.#options;
    return { consumer: consumer.name, node: this.#major, transport, ...verdict };
  }

  /** Ends all processes, and tells what was wrong with their ends. */
  async end(): Promise<string[]> {
    const pairs = [...this.#pairs.values()];
    this.#pairs.clear();
    return (await Promise.all(pairs.map((pair) => pair.end()))).flat();
  }

  async #verdict(consumer: Consumer): Promise<Verdict> {
    const database = consumer.database && this.#databases.get(consumer.database);
    if (typeof database === 'string') return { verdict: 'absent', detail: database };
    const { transport } = this.#options;
    const pair = this.#pairOf(consumer.start);
    try {
      const exchange =
        database !== undefined && transport === 'tcp'
          ? await pair.call(consumer.program, database.port)
          : await pair.exchange(consumer.program, database?.port);
      return judge(exchange, transport, consumer);
    } catch (error) {
      // What is left of it would be in the way of the next.
      pair.kill();
      this.#pairs.delete(consumer.start);
      const detail = (error as Error).message;
      return { verdict: error instanceof NotThere ? 'absent' : 'fails', detail };
    }
  }

  #pairOf(start: Start): Pair {
    let pair = this.#pairs.get(start);
    if (pair === undefined) {
      pair = new Pair(this.#options, start);
      this.#pairs.set(start, pair);
    }
    return pair;
  }
}
