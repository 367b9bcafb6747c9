/** The request of Node's that a connecting socket has with C++: who is told when it is complete. */

import type { ConnectRequest, OnConnectComplete } from './internals';

/**
 * Has `onComplete` called in the place of what net.js has set, and `onReplaced` when net.js sets
 * something else: it gives up an attempt (happy eyeballs, 250 ms) by closing the handle and taking
 * away `oncomplete`. Nothing else tells us, and the connection must not go on without its socket.
 */
export function watchRequest(
  request: ConnectRequest,
  onComplete: OnConnectComplete,
  onReplaced: (value: OnConnectComplete | undefined) => void,
): void {
  Object.defineProperty(request, 'oncomplete', {
    configurable: true,
    enumerable: true,
    get: () => onComplete,
    set: onReplaced,
  });
}

/** Gives the request back, with what it is to call. */
export function setOnComplete(request: ConnectRequest, value: OnConnectComplete | undefined): void {
  Object.defineProperty(request, 'oncomplete', {
    configurable: true,
    enumerable: true,
    writable: true,
    value,
  });
}
