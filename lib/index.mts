/** The same for `import`: see index.ts. */

import net from './net.js';

export * from 'node:net';
export {
  ConfigurationError,
  RdmaError,
  RdmaUnavailableError,
  Server,
  Socket,
  Stream,
  alloc,
  configure,
  connect,
  createConnection,
  createServer,
  info,
  reasons,
  stats,
} from './net.js';
export type * from './net.js';
export default net;
