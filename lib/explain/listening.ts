/** Listening for a moment as a server would, and what it could be reached over. */

import net from 'node:net';
import { info } from '../info';
import type { FabricTransportName, TransportName } from '../mode';
import type { Reason } from '../reasons';
import { settled } from '../settling';
import { describeFailure, type Failure } from './trial';

/** See the top of the file. */
export interface Listening {
  /** The best first; empty when it failed. */
  readonly transports: readonly TransportName[];
  /** Why not over the others. */
  readonly reasons: Readonly<Partial<Record<FabricTransportName, Reason>>>;
  /** Until everything was known. */
  readonly milliseconds: number;
  readonly failure: Failure | null;
}

/** Listens and closes. Never rejects. */
export async function tryToListen(
  host: string,
  port: number,
  isTls: boolean,
  timeoutMs: number,
): Promise<Listening> {
  const sinceMs = performance.now();
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- seldom
  const tls = isTls ? (require('node:tls') as typeof import('node:tls')) : undefined;
  const server: net.Server = tls?.createServer() ?? net.createServer();
  server.on('connection', (socket) => socket.destroy());
  const failure = await new Promise<Failure | null>((resolve) => {
    server.once('error', (error) => {
      resolve(describeFailure(error));
    });
    server.listen(port, host, () => {
      void settled(server, timeoutMs).then(() => {
        resolve(null);
      });
    });
  });
  const { transports, reasons } = info(server);
  const milliseconds = performance.now() - sinceMs;
  if (server.listening) await new Promise((resolve) => server.close(resolve));
  return { transports: failure === null ? transports : [], reasons, milliseconds, failure };
}
