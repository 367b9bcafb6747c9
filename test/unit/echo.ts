/** A server and clients that know what became of a connection. */

import { once } from 'node:events';
import net from 'node:net';
import { readAll } from './support';

/** A server that counts what its program sees, and echoes. */
export class Echo {
  readonly server: net.Server;
  readonly transports: (string | undefined)[] = [];

  constructor(options: net.ServerOpts = {}) {
    this.server = net.createServer(options, (socket) => {
      this.transports.push(socket.transport);
      socket.on('error', () => undefined);
      socket.pipe(socket);
    });
  }
}

/** Says hello, hears it, and waits for the end. */
export async function talk(client: net.Socket): Promise<void> {
  client.end('hello');
  const answer = await readAll(client);
  if (answer.toString() !== 'hello') throw new Error(`the answer is ${String(answer)}`);
  if (!client.closed) await once(client, 'close');
}

/** A lookup that finds these addresses, in this order, for any name. */
export function lookupOf(...addresses: string[]): net.LookupFunction {
  return (_host, _options, callback) => {
    callback(
      null,
      addresses.map((address) => ({ address, family: net.isIP(address) })),
    );
  };
}
