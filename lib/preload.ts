/**
 * Enables RDMA for every socket and server of the process:
 * `node --require rdma-net/preload`, `--import`, or NODE_OPTIONS.
 */

import { install } from './install';
import './types';

install(true);
