/** The client's choice: whether a socket that connects tries other transports, or goes to TCP. */

import net from 'node:net';
import { performance } from 'node:perf_hooks';
import { Attempt } from './attempt';
import { failureChannel } from './diagnostics';
import { Dial, type ConnectCall } from './dial';
import { attachCause, uvErrnoOf } from './errors';
import { noteFallback } from './info';
import { settings } from './mode';
import { PeerMemory } from './peers';
import { planConnect } from './plan';
import { reasonFor } from './reasons';

/** Peers that are known to have no RDMA, for all sockets of this environment. */
export const peers = new PeerMemory(settings, () => performance.now());
/** Servers of this host that did not answer in time, for all sockets of this environment. */
export const slowServers = new PeerMemory(settings, () => performance.now());

/** Takes the place of `connect` and `connect6` of a TCP handle. Returns what they return. */
export function connect(call: ConnectCall): number {
  const { socket, handle, original, request, address, port } = call;
  const plan = planConnect(socket, address, port);
  let { reason } = plan;
  if (plan.mode !== 'off') {
    const dial = new Dial(call, { peers, slowServers }, plan);
    const first = dial.next();
    if (first !== undefined) return new Attempt(call, dial, first).start();
    if (dial.isRequired) return refuse(call, dial);
    reason = dial.reason;
  }
  noteFallback(socket, address, port, reason ?? reasonFor('mode-off'));
  return original.call(handle, request, address, port);
}

// net.js makes an error of the number when we have returned.
function refuse({ socket }: ConnectCall, dial: Dial): number {
  const { error, status } = dial.failure;
  process.nextTick(() => {
    attachCause(socket.errored, error);
  });
  if (failureChannel.hasSubscribers) failureChannel.publish({ socket, server: undefined, error });
  return uvErrnoOf(status);
}

/** Whether an object is a socket that may use RDMA. */
export function isSocket(owner: object | undefined): owner is net.Socket {
  return owner instanceof net.Socket;
}
