/**
 * Close callbacks, where libuv has its own: after the immediates of a turn. Programs that watch a
 * socket go count on that order. JavaScript has no place there, so that a handle of libuv's that
 * was never used is closed, one for all sockets of a turn.
 */

import type { AsyncResource } from 'node:async_hooks';
import { tcpClass } from './internals';
import { rootScope } from './scope';
import { continueEach, type Continuation } from './transport';

let waiting: Continuation[] = [];

/** Calls `closed` in `scope` when the immediates of this turn have run. */
export function closeLater(scope: AsyncResource, closed: () => void): void {
  if (waiting.length === 0) rootScope().runInAsyncScope(startClosing);
  waiting.push({ scope, continueTurn: closed });
}

function startClosing(): void {
  const TCP = tcpClass();
  new TCP(0).close(() => {
    const now = waiting;
    waiting = [];
    continueEach(now);
  });
}
