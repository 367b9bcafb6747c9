/** The table of GIDs that each port of an RDMA device has, and the addresses for which they stand. */

import { SocketAddress, isIPv6 } from 'node:net';
import type { Files } from './files';

/** Where the kernel shows RDMA devices. */
export const DEVICES = '/sys/class/infiniband';

/** The table has up to 1,024 places, and those in use come first, with few holes. */
const EMPTY_GIDS_MAX = 32;

/** One entry of the table. */
export interface GidFacts {
  index: number;
  /** As the kernel writes it: eight groups of four digits. */
  gid: string;
  /** As `RoCE v2` or `IB/RoCE v1`. */
  type: string;
  netdev: string | undefined;
}

/** The entries of a port that are in use. */
export function readGids(files: Files, device: string, port: number): GidFacts[] {
  const folder = `${DEVICES}/${device}/ports/${port}`;
  const gids: GidFacts[] = [];
  let empty = 0;
  for (let index = 0; empty < EMPTY_GIDS_MAX; index++) {
    const gid = files.text(`${folder}/gids/${index}`);
    if (gid === undefined) break;
    if (/^[0:]*$/.test(gid)) {
      empty++;
      continue;
    }
    empty = 0;
    const type = files.text(`${folder}/gid_attrs/types/${index}`) ?? '';
    gids.push({ index, gid, type, netdev: files.text(`${folder}/gid_attrs/ndevs/${index}`) });
  }
  return gids;
}

/** A GID, or an IPv6 address, as `inet_ntop` writes it. */
export function showGid(gid: string): string {
  return new SocketAddress({ address: gid, family: 'ipv6' }).address;
}

/**
 * The GID that RoCE makes of an address, as {@link showGid} gives it.
 * @param address numeric, IPv4 or IPv6, the latter with `%scope` where it needs one
 */
export function gidOf(address: string): string {
  const [bare = ''] = address.split('%');
  return showGid(isIPv6(bare) ? bare : `::ffff:${bare}`);
}

/**
 * The entry that the connection manager takes for an address: RoCE v2 before v1, which is its
 * default.
 * @param gid as {@link gidOf} gives it
 */
export function entryFor<T extends GidFacts>(gid: string, entries: readonly T[]): T | undefined {
  const matching = entries.filter((each) => showGid(each.gid) === gid);
  return matching.find(({ type }) => type === 'RoCE v2') ?? matching[0];
}
