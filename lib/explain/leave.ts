/** How a connection that was only a trial is ended. */

import type { Socket } from 'node:net';

/** How long the peer may take to end its side. */
const PATIENCE_MS = 250;

/**
 * Ends a connection as a client does that has all it wanted. What is destroyed while bytes wait in it
 * is a reset to the peer, and a server that greets, and listens to no 'error', would end by that.
 */
export async function leave(socket: Socket): Promise<void> {
  if (socket.closed) return;
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.on('error', () => undefined);
  if (socket.connecting) socket.destroy();
  else socket.resume().end();
  const timer = setTimeout(() => socket.destroy(), PATIENCE_MS);
  await closed;
  clearTimeout(timer);
}
