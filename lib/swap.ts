/** Puts a handle on RDMA in the place of the TCP handle of a socket that is connecting. */

import { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { StreamHandle } from './handle';
import {
  inside,
  isUnderTls,
  reinitializeHandle,
  setAsyncId,
  setOwner,
  userBufferOf,
  type TcpHandle,
} from './internals';

/** What of a TLSWrap is needed to carry its state over to another. */
interface TlsHandle {
  getSession(): Buffer | undefined;
  setSession(session: Buffer): void;
  enableSessionCallbacks(): void;
  enableKeylogCallback(): void;
}

interface TlsSocketInside {
  _handle: TlsHandle;
  ssl: TlsHandle | null;
  _undestroy(): void;
}

// Loading tls takes as long as all the rest of a first connection, and many programs have none.
function isTls(socket: Socket): socket is TLSSocket {
  if ((socket as Partial<TLSSocket>).encrypted !== true) return false;
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  return socket instanceof (require('node:tls') as typeof import('node:tls')).TLSSocket;
}

/** Whether the socket can be moved to another handle: not once another socket does TLS over it. */
export function canSwap(socket: Socket, tcp: TcpHandle): boolean {
  // Of a TLS socket, its own TLS is the one that may be.
  const handle = isTls(socket) ? inside(socket)._handle : tcp;
  return handle === null || !isUnderTls(handle);
}

/** Swaps the handle; the TCP handle is closed. Before 'connect' is emitted. */
export function swapHandle(socket: Socket, tcp: TcpHandle, handle: StreamHandle): void {
  if (!tcp.hasRef()) handle.unref();
  if (isTls(socket)) swapUnderTls(socket, handle);
  else swapPlain(socket, tcp, handle);
}

// Not by kReinitializeHandle: it calls _undestroy, which forgets an end() made while connecting.
function swapPlain(socket: Socket, tcp: TcpHandle, handle: StreamHandle): void {
  setOwner(handle, socket);
  handle.onread = tcp.onread;
  inside(socket)._handle = handle;
  inside(socket)._sockname = null;
  setAsyncId(socket, handle);
  const userBuffer = userBufferOf(socket);
  if (userBuffer !== undefined) handle.useUserBuffer(userBuffer);
  tcp.close();
}

// A TLSWrap cannot change the stream below it, so that Node makes a new one; what had been set on
// the old one is lost on the way and put back here.
function swapUnderTls(socket: TLSSocket, handle: StreamHandle): void {
  const tls = socket as unknown as TlsSocketInside;
  const session = tls._handle.getSession();
  const { _undestroy } = Duplex.prototype as unknown as { readonly _undestroy: () => void };
  const keylogListeners = socket.listenerCount('keylog');
  setOwner(handle, socket);
  // Shadowed, and then not deleted: deleting turns the socket into a slow dictionary.
  tls._undestroy = () => undefined;
  try {
    reinitializeHandle(socket, handle);
  } finally {
    tls._undestroy = _undestroy;
  }
  // With --tls-keylog Node listens once for each handle.
  for (const listener of socket.listeners('keylog').slice(keylogListeners)) {
    socket.removeListener('keylog', listener as (line: Buffer) => void);
  }
  tls.ssl = tls._handle;
  if (session !== undefined) tls._handle.setSession(session);
  if (socket.listenerCount('session') > 0) tls._handle.enableSessionCallbacks();
  if (socket.listenerCount('keylog') > 0) tls._handle.enableKeylogCallback();
}
