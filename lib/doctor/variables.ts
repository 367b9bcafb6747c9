/** Variables of the environment that look like settings, and are none. */

/** What programs, and the installation and the tests of rdma-net, take notice of. */
const KNOWN: ReadonlySet<string> = new Set([
  'RDMA_NET',
  'RDMA_NET_CONFIG',
  'RDMA_NET_HEAD_START_MS',
  'RDMA_NET_INCLUDE',
  'RDMA_NET_PEER_MEMORY_MS',
  'RDMA_NET_PINNED_BYTES_MAX',
  'RDMA_NET_QUEUE_PAIRS_MAX',
  'RDMA_NET_RULES',
  'RDMA_NET_SPIN_US',
  'RDMA_NET_STATUS',
  'RDMA_NET_TRANSPORTS',
  'RDMA_NET_ZIG',
]);

/** Their names: nobody else tells of a letter that is missing. */
export function unknownVariables(environment: NodeJS.ProcessEnv): string[] {
  return Object.keys(environment)
    .filter((name) => name.startsWith('RDMA_NET') && !KNOWN.has(name))
    .sort();
}
