/** For child processes: RDMA in memory instead of the addon. */

import type * as Net from 'node:net';
import { subscribe } from 'node:diagnostics_channel';
import type { ListenMessage } from '../../lib/diagnostics';
import { Status } from '../../lib/status';
import { useBinding } from '../../lib/transport';
import { FakeBinding } from './fake-binding';

const binding = new FakeBinding();
binding.status = Number(process.env['FAKE_PROBE'] ?? Status.Ok) as Status;
useBinding(binding, { ownsLoopback: process.env['FAKE_LOOPBACK'] !== 'no' });

/** Calls back when a server can be reached over RDMA. For scripts given with `-e`. */
function whenRdma(server: Net.Server, callback: () => void): void {
  subscribe('rdma-net:listen', (message) => {
    if ((message as ListenMessage).server === server) callback();
  });
}

Object.assign(globalThis, { whenRdma, fakeBinding: binding });
