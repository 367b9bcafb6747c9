/** For child processes: RDMA in memory instead of the addon. */

import type * as Net from 'node:net';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { ListenMessage } from '../../lib/diagnostics';
import { Status } from '../../lib/native-status';
import { useBinding } from '../../lib/transport';
import { FakeBinding } from './fake-binding';

const binding = new FakeBinding();
// Both programs are on this host, and most tests are about RDMA.
process.env['RDMA_NET_TRANSPORTS'] ??= 'rdma';
binding.verbs.status = Number(process.env['FAKE_PROBE'] ?? Status.Ok) as Status;
useBinding(binding, { ownsLoopback: process.env['FAKE_LOOPBACK'] !== 'no' });

/** Calls back when a server can be reached over more than TCP. For scripts given with `-e`. */
function whenRdma(server: Net.Server, callback: () => void): void {
  const onListen = (message: unknown): void => {
    if ((message as ListenMessage).server !== server) return;
    unsubscribe('rdma-net:listen', onListen);
    callback();
  };
  subscribe('rdma-net:listen', onListen);
}

Object.assign(globalThis, { whenRdma, fakeBinding: binding });
