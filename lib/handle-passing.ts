/** Sockets cannot be sent to another process unless they are on TCP, and sending one says so. */

import type { Server } from 'node:net';
import { ownerOf, type OnRead } from './internals';

/** What net.Server keeps for sockets that it has sent away. */
interface SendingServer {
  _connections: number;
  _usingWorkers: boolean;
  _workers: unknown[];
}

function invalidHandleType(): Error {
  const error = new TypeError('This handle type cannot be sent');
  return Object.assign(error, { code: 'ERR_INVALID_HANDLE_TYPE' });
}

// What child_process has done for the socket before it takes the handle out of it. A server whose
// workers do not know it would wait for their answers.
function undo(server: Server | undefined): void {
  if (server === undefined) return;
  const sending = server as unknown as SendingServer;
  sending._connections++;
  sending._workers.pop();
  sending._usingWorkers = sending._workers.length > 0;
}

/**
 * Makes handles of a class throw ERR_INVALID_HANDLE_TYPE when their socket is sent. Otherwise Node
 * would find out too late: the socket would have lost its handle, and nobody could catch the error.
 * child_process takes a handle over by giving it Function.prototype to read with, as nobody else does.
 * (Node 20 has no accessor that could be wrapped: it stays as it is.)
 */
export function refuseToBeSent(prototype: object): void {
  let holder: object | null = prototype;
  while (holder !== null && !Object.hasOwn(holder, 'onread')) {
    holder = Object.getPrototypeOf(holder) as object | null;
  }
  const native = holder && Object.getOwnPropertyDescriptor(holder, 'onread');
  if (!native?.get || !native.set) return;
  Object.defineProperty(prototype, 'onread', {
    ...native,
    set(this: object, value: OnRead) {
      if (value === Function.prototype) {
        undo((ownerOf(this) as { server?: Server } | undefined)?.server);
        throw invalidHandleType();
      }
      native.set?.call(this, value);
    },
  });
}
