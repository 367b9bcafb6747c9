/** The client's choice: whether a socket that connects tries other transports, or goes to TCP. */

import net from 'node:net';
import { performance } from 'node:perf_hooks';
import { Attempt, isUnderWay } from './attempt';
import { attemptChannel, debug, publishFailure } from './diagnostics';
import { Dial, type CommonOutcome, type ConnectCall } from './dial';
import { UV_EALREADY, attachCauses, uvErrnoOf } from './errors';
import { noteFallback } from './info';
import type { ConnectRequest } from './internals';
import { settings, settingsVersion } from './mode';
import { Status } from './native-status';
import { PeerMemory } from './peers';
import { planConnect } from './plan';
import { reasonFor } from './reasons';
import { localTransport, rdmaTransport } from './transport';
import { Verdicts } from './verdicts';

/** Peers that are known to have no RDMA, for all sockets of this environment. */
export const peers = new PeerMemory(settings, () => performance.now());
/** Servers of this host that did not answer in time, for all sockets of this environment. */
export const slowServers = new PeerMemory(settings, () => performance.now());

/** Takes the place of `connect` and `connect6` of a TCP handle. Returns what they return. */
export function connect(call: ConnectCall): number {
  const { socket, handle, original, request, address, port } = call;
  if (isUnderWay(handle)) return UV_EALREADY;
  const plan = planConnect(socket, address, port);
  let { reason } = plan;
  if (plan.mode !== 'off') {
    const dial = new Dial(call, { peers, slowServers }, plan);
    const first = dial.next();
    if (first !== undefined) return new Attempt(call, dial, first).start();
    if (dial.isRequired) return refuse(call, dial);
    reason = dial.reason;
    remember(call, dial.commonOutcome);
  }
  noteFallback(socket, address, port, reason ?? reasonFor('mode-off'));
  return original.call(handle, request, address, port);
}

const verdicts = new Verdicts();

function factsVersion(): number {
  return settingsVersion + peers.version + localTransport.version + rdmaTransport.version;
}

function isBound({ localAddress, localPort }: ConnectRequest): boolean {
  return localAddress !== undefined || localPort !== undefined;
}

function remember(call: ConnectCall, outcome: CommonOutcome | undefined): void {
  if (outcome === undefined || outcome.untilMs <= call.sinceMs || isBound(call.request)) return;
  const { address, port } = call;
  const { reason, refusedHere, untilMs } = outcome;
  const place = refusedHere ? localTransport.native.placeOf(address, port) : undefined;
  if (refusedHere && place === undefined) return;
  verdicts.keep(address, port, { reason, place, untilMs, version: factsVersion() });
}

/**
 * Whether a connection goes to TCP as one before it did, which is put down then. This is what most
 * connections of most programs cost, so that nothing is made or computed here that can be kept.
 * @param nowMs on the clock of performance.now()
 */
export function goesToTcpAgain(
  socket: net.Socket,
  request: ConnectRequest,
  address: string,
  port: number,
  nowMs: number,
): boolean {
  const verdict = verdicts.recall(address, port);
  if (verdict === undefined || verdict.untilMs <= nowMs) return false;
  if (verdict.version !== factsVersion() || isBound(request)) return false;
  // Who watches is told of every step.
  if (attemptChannel.hasSubscribers || debug.enabled) return false;
  const { place, reason } = verdict;
  if (place !== undefined && localTransport.native.mayListen(place)) return false;
  noteFallback(socket, address, port, reason);
  return true;
}

// net.js makes an error of the number: with TCP that a peer refused is known later, and all else,
// which this host knows by itself, at once.
function refuse(call: ConnectCall, dial: Dial): number {
  const { socket, handle, request } = call;
  const { error, status } = dial.failure;
  const uvErrno = uvErrnoOf(status);
  publishFailure({ socket, server: undefined, error }, call);
  if (status !== Status.ConnectionRefused) {
    process.nextTick(() => {
      attachCauses(socket.errored, call, error);
    });
    return uvErrno;
  }
  setImmediate(() => {
    request.oncomplete?.call(request, uvErrno, handle, request, false, false);
    attachCauses(socket.errored, call, error);
  });
  return 0;
}

/** Whether an object is a socket that may use RDMA. */
export function isSocket(owner: object | undefined): owner is net.Socket {
  return owner instanceof net.Socket;
}
