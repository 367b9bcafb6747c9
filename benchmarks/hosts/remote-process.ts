import { once } from 'node:events';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { AGENT_PORT, type Launch } from './agent';

/** A process on the other host; see agent.ts. */
export class RemoteProcess {
  /** Of its standard output. */
  readonly lines: AsyncIterator<string>;
  readonly #socket: net.Socket;

  constructor(address: string, launch: Launch) {
    this.#socket = net.connect({ port: AGENT_PORT, host: address, noDelay: true });
    this.#socket.write(`${JSON.stringify(launch)}\n`);
    this.lines = createInterface(this.#socket)[Symbol.asyncIterator]();
    // Whoever waits for a line sees that there is none.
    this.#socket.on('error', () => undefined);
  }

  /** Waits for a line: servers say one when they listen. */
  async listens(): Promise<void> {
    const line = await this.lines.next();
    if (line.done === true) throw new Error('a server on the other host ended before it listened');
  }

  /** Lets it end, and waits until it has. */
  async end(): Promise<void> {
    if (!this.#socket.closed) {
      const closed = once(this.#socket, 'close');
      this.#socket.end();
      await closed;
    }
  }

  kill(): void {
    this.#socket.destroy();
  }
}
