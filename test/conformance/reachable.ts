/** When a server can be reached over another transport: a moment after 'listening'. */
import { subscribe } from 'node:diagnostics_channel';
import type { Server } from 'node:net';
import type { ListenMessage } from '../../lib/diagnostics';
import type { TransportName } from '../../lib/mode';

const reached = new WeakSet<Server>();
const waiting = new Map<Server, () => void>();
const onTcp = new WeakSet<Server>();

subscribe('rdma-net:listen', (message) => {
  const { server } = message as ListenMessage;
  reached.add(server);
  waiting.get(server)?.();
  waiting.delete(server);
});

/** Says that a server is not expected on anything but TCP. */
export function keepsTcp(server: Server): void {
  onTcp.add(server);
}

/** Resolves when a server, which begins to listen now, can be reached over a transport. */
export function reachable(server: Server, transport: TransportName): Promise<void> {
  if (transport === 'tcp' || onTcp.has(server)) return Promise.resolve();
  reached.delete(server);
  return new Promise((resolve) => waiting.set(server, resolve));
}
