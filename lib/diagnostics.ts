/** What can be watched from outside: `diagnostics_channel` and `NODE_DEBUG=rdma-net`. */

import type { Server, Socket } from 'node:net';
import { channel } from 'node:diagnostics_channel';
import { debuglog } from 'node:util';
import type { Reason } from './reasons';

/** Message of `rdma-net:connect`: a client's socket is connected over RDMA. */
export interface ConnectMessage {
  socket: Socket;
  address: string;
  port: number;
}

/** Message of `rdma-net:accept`: a server has accepted a connection over RDMA. */
export interface AcceptMessage {
  server: Server;
  /** Undefined when the server dropped it at once (maxConnections, blockList). */
  socket: Socket | undefined;
}

/** Message of `rdma-net:fallback`: a socket or server goes to TCP. */
export interface FallbackMessage {
  /** Undefined when the reason concerns a server. */
  socket: Socket | undefined;
  server: Server | undefined;
  address: string;
  port: number;
  reason: Reason;
}

/** Message of `rdma-net:failure`: RDMA failed, and the program sees an error. */
export interface FailureMessage {
  socket: Socket | undefined;
  server: Server | undefined;
  /** What will be found on `.cause` of the program's error. */
  error: Error;
}

/** Message of `rdma-net:listen`: a server can be reached over RDMA from now on. */
export interface ListenMessage {
  server: Server;
  address: string;
  port: number;
}

export const connectChannel = channel('rdma-net:connect');
export const acceptChannel = channel('rdma-net:accept');
export const fallbackChannel = channel('rdma-net:fallback');
export const failureChannel = channel('rdma-net:failure');
export const listenChannel = channel('rdma-net:listen');

/** Writes to stderr under NODE_DEBUG=rdma-net, else costs a comparison. */
export const debug = debuglog('rdma-net');
