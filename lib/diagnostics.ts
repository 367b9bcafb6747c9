/** What can be watched from outside: `diagnostics_channel` and `NODE_DEBUG=rdma-net`. */

import type { Server, Socket } from 'node:net';
import { channel } from 'node:diagnostics_channel';
import { debuglog } from 'node:util';
import type { FabricTransportName, TransportName } from './mode';
import type { Handshake } from './native';
import type { Reason } from './reasons';

/**
 * Message of `rdma-net:connect`: a client's socket is connected over RDMA or shared memory. Published
 * just before its 'connect'.
 */
export interface ConnectMessage {
  /** The socket, on its new transport. */
  socket: Socket;
  /** Numeric address of the peer. */
  address: string;
  /** Port of the peer. */
  port: number;
  /** What it runs on. */
  transport: FabricTransportName;
}

/**
 * What happens while a socket connects. `begin`: a transport is tried from now on. `open`: its
 * libraries and devices, which were not, are open now. `answer`: the peer has accepted. `fail`: it is
 * not tried, or tried no longer.
 */
export type AttemptStep = 'begin' | 'open' | 'answer' | 'fail';

/** Message of `rdma-net:attempt`: one step of a socket that connects. Steps of TCP: only `begin`. */
export interface AttemptMessage {
  /** The socket that connects. */
  socket: Socket;
  /** Numeric address of the peer. */
  address: string;
  /** Port of the peer. */
  port: number;
  /** What is tried. */
  transport: TransportName;
  /** What has happened. */
  step: AttemptStep;
  /** With `fail`. */
  reason: Reason | undefined;
  /** With `answer` and `fail`: how far it came, where a transport has such steps. */
  handshake: Handshake | undefined;
}

/**
 * Message of `rdma-net:accept`: a server has accepted a connection over RDMA or shared memory.
 * Published after its 'connection'.
 */
export interface AcceptMessage {
  /** The server that has accepted it. */
  server: Server;
  /** Undefined when the server dropped it at once (maxConnections, blockList). */
  socket: Socket | undefined;
  /** What it runs on. */
  transport: FabricTransportName;
}

/** Message of `rdma-net:fallback`: a socket or server goes to TCP. */
export interface FallbackMessage {
  /** Undefined when the reason concerns a server. */
  socket: Socket | undefined;
  /** Undefined when the reason concerns a socket. */
  server: Server | undefined;
  /** Numeric address of the peer, or on which the server listens. */
  address: string;
  /** Port of the peer, or on which the server listens. */
  port: number;
  /** Why. */
  reason: Reason;
}

/** Message of `rdma-net:failure`: RDMA or shared memory failed, and the program sees an error. */
export interface FailureMessage {
  /** Undefined when a server has failed. */
  socket: Socket | undefined;
  /** Undefined when a socket has failed. */
  server: Server | undefined;
  /** What will be found on `.cause` of the program's error. */
  error: Error;
}

/** Message of `rdma-net:listen`: a server can be reached over this transport from now on. */
export interface ListenMessage {
  /** The server. */
  server: Server;
  /** Numeric address on which it listens. */
  address: string;
  /** Port on which it listens. */
  port: number;
  /** Over what it can be reached. */
  transport: FabricTransportName;
}

export const attemptChannel = channel('rdma-net:attempt');
export const connectChannel = channel('rdma-net:connect');
export const acceptChannel = channel('rdma-net:accept');
export const fallbackChannel = channel('rdma-net:fallback');
export const failureChannel = channel('rdma-net:failure');
export const listenChannel = channel('rdma-net:listen');

/**
 * Tells that a socket or server has failed.
 * @param at whom it was connected to or called, or where it was to listen, if that is known
 */
export function publishFailure(
  message: FailureMessage,
  at: { readonly address: string; readonly port: number } | undefined,
): void {
  debug('%s:%s failed: %s', at?.address ?? '?', at?.port ?? '?', message.error.message);
  if (failureChannel.hasSubscribers) failureChannel.publish(message);
}

/** Writes to stderr under NODE_DEBUG=rdma-net, else costs a comparison. */
export const debug = debuglog('rdma-net');
