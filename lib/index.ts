/**
 * `net` with RDMA: everything of node:net, where Socket, Server and what makes them use RDMA when
 * device and peer allow. The rest of the program is not touched; for that, see `rdma-net/preload`.
 */

import * as net from './net';

export * from './net';
export default net;
