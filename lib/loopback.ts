/** Addresses that never leave the host, which only few RDMA devices have. */

/**
 * Whether connecting to or listening on an address stays on the loopback interface.
 * @param address numeric, IPv4 or IPv6
 */
export function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1' || /^::ffff:127\./i.test(address);
}
