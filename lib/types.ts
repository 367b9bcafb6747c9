/** What TypeScript users see on the types of `net`. */

import type { TransportName } from './mode';

declare module 'net' {
  interface Socket {
    /**
     * On what the socket runs, also after it was closed: 'rdma', 'local' or 'tcp'; undefined while
     * it connects, and for pipes. Defined once rdma-net has been loaded.
     */
    readonly transport: TransportName | undefined;
  }
}
