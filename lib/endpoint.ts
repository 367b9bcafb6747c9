/** The address of one end of a connection, as net.js asks a handle for it. */

import { UV_ENOTCONN } from './errors';
import type { Endpoint } from './native';

/**
 * Fills in what net.js gives out, in Node's order, since programs print it.
 * @param inIpv6 whether TCP would have a socket of IPv6, on which addresses of IPv4 are mapped
 * @returns 0, or a negative errno
 */
export function copyEndpoint(
  out: Partial<Endpoint>,
  endpoint: Endpoint | undefined,
  inIpv6: boolean,
): number {
  if (endpoint === undefined) return UV_ENOTCONN;
  const isMapped = inIpv6 && endpoint.family === 'IPv4';
  out.address = isMapped ? `::ffff:${endpoint.address}` : endpoint.address;
  out.family = isMapped ? 'IPv6' : endpoint.family;
  out.port = endpoint.port;
  return 0;
}
