/** The asynchronous context of what belongs to no connection: that in which rdma-net was loaded. */

import { AsyncResource } from 'node:async_hooks';

let root: AsyncResource | undefined;

/** Its first call must come while the program starts, outside of any AsyncLocalStorage. */
export function rootScope(): AsyncResource {
  root ??= new AsyncResource('RDMATRANSPORT');
  return root;
}

/** A scope for an accepted connection: as with TCP, not that of the code that called listen. */
export function rootedScope(type: string): AsyncResource {
  return rootScope().runInAsyncScope(() => new AsyncResource(type));
}
