/**
 * The tests of Node's own suites that end otherwise when connections run over shared memory, each
 * with its reason; run.ts fails for one that is missing here and for one that passes. Over TCP there
 * is none.
 */

export interface Difference {
  readonly reason: string;
}

const replaced: Difference = {
  reason: 'replaces a method of the TCP handle of a socket that still connects',
};
const consumed: Difference = {
  reason: 'gives the TCP handle of a socket that still connects to an http parser',
};
const passed: Difference = { reason: 'passes a socket to another process' };

export const differences: Readonly<Record<string, Difference>> = {
  'parallel/test-net-connect-keepalive': replaced,
  'parallel/test-net-connect-nodelay': replaced,
  'parallel/test-net-persistent-nodelay': {
    reason: 'counts the calls of setNoDelay on the prototype of the TCP handle',
  },
  'parallel/test-http-parser-timeout-reset': consumed,
  'sequential/test-http-regr-gh-2928': consumed,
  'parallel/test-cluster-net-send': passed,
  'parallel/test-cluster-send-deadlock': passed,
  'parallel/test-cluster-send-socket-to-worker-http-server': passed,
  'parallel/test-cluster-send-handle-twice': passed,
  'sequential/test-cluster-send-handle-large-payload': passed,
  'parallel/test-cluster-accept-fail': {
    reason: 'lets the primary lose the TCP handle of a connection, which does not pass through it',
  },
};
