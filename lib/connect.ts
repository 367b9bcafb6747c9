/** The client's choice: whether a socket that connects tries RDMA, or goes to TCP at once. */

import net from 'node:net';
import { performance } from 'node:perf_hooks';
import { Attempt, type ConnectCall } from './attempt';
import { failureChannel } from './diagnostics';
import { RdmaUnavailableError, attachCause, uvErrnoOf } from './errors';
import { noteFallback } from './info';
import { isLoopback } from './loopback';
import { settings } from './mode';
import { PeerMemory } from './peers';
import { reasonFor, type Reason } from './reasons';
import { internalsDiffer } from './self-check';
import { Status } from './status';
import { canSwap } from './swap';
import { ownsLoopback, unavailable, unavailableStatus } from './transport';

/** Peers that are known to have no RDMA, for all sockets of this environment. */
export const peers = new PeerMemory(settings, () => performance.now());

/** Takes the place of `connect` and `connect6` of a TCP handle. Returns what they return. */
export function connect(call: ConnectCall): number {
  const { socket, handle, original, request, address, port } = call;
  const reason = whyTcp(call);
  if (reason === undefined) return new Attempt(call, peers).start();
  if (settings.mode === 'require') return refuse(call, reason);
  noteFallback(socket, address, port, reason);
  return original.call(handle, request, address, port);
}

// In order of cost; nothing here waits.
function whyTcp(call: ConnectCall): Reason | undefined {
  const { address, port } = call;
  if (settings.mode === 'off') return reasonFor('mode-off');
  if (isLoopback(address) && !ownsLoopback()) return reasonFor('loopback');
  const required = settings.mode === 'require';
  const known = required ? undefined : peers.recall(address, port);
  return known ?? unavailable(required) ?? internalsDiffer() ?? whyNotThisSocket(call);
}

// A handle that is bound although net.js was not told an address has been bound from outside.
function whyNotThisSocket({ socket, handle, request }: ConnectCall): Reason | undefined {
  if (!canSwap(socket, handle)) return reasonFor('tls-while-connecting');
  if (request.localAddress !== undefined || request.localPort !== undefined) return undefined;
  return handle.getsockname({}) === 0 ? reasonFor('bound-socket') : undefined;
}

// net.js makes an error of the number when we have returned.
function refuse({ socket }: ConnectCall, reason: Reason): number {
  const cause = new RdmaUnavailableError(reason);
  process.nextTick(() => {
    attachCause(socket.errored, cause);
  });
  if (failureChannel.hasSubscribers) {
    failureChannel.publish({ socket, server: undefined, error: cause });
  }
  const isGeneral = unavailable(true) !== undefined;
  return uvErrnoOf(isGeneral ? unavailableStatus() : Status.NoRoute);
}

/** Whether an object is a socket that may use RDMA. */
export function isSocket(owner: object | undefined): owner is net.Socket {
  return owner instanceof net.Socket;
}
