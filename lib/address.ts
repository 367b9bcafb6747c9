/** Addresses that mean the same, and those that never leave the host. */

import { SocketAddress } from 'node:net';

/** As the kernel writes it: 0:0:0:0:0:ffff:a00:1 is ::ffff:10.0.0.1. */
function canonical(address: string): string {
  return new SocketAddress({ address, family: 'ipv6' }).address;
}

/**
 * An IPv6 address that stands for an IPv4 address as that address, since it is the same peer; others
 * as they are.
 * @param address numeric, IPv4 or IPv6, the latter with `%scope` where it needs one
 */
export function unmapped(address: string): string {
  // No other IPv6 address is mapped, loopback or "any", and those with a scope are none of these.
  if (!/^[0:]/.test(address) || !address.includes(':') || address.includes('%')) return address;
  const ipv6 = address === '::1' ? address : canonical(address);
  return ipv6.startsWith('::ffff:') && ipv6.includes('.') ? ipv6.slice('::ffff:'.length) : ipv6;
}

/**
 * Whether connecting to or listening on an address stays on the loopback interface, which only few
 * RDMA devices have.
 * @param address as {@link unmapped} gives it
 */
export function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1';
}

/**
 * Whether this is the address that stands for all addresses.
 * @param address as {@link unmapped} gives it
 */
export function isUnspecified(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}
