/** From which address of this host a peer is reached, and which RDMA device has that address. */

import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { isIPv6, SocketAddress } from 'node:net';
import { networkInterfaces } from 'node:os';
import path from 'node:path';
import { unmapped } from '../address';

/** The entry of a device's table of GIDs that stands for an address. */
export interface DeviceEntry {
  readonly device: string;
  readonly devicePort: number;
  readonly gid: string;
  readonly gidIndex: number;
  /** As the kernel calls it, such as `RoCE v2`; null where it says nothing. */
  readonly gidType: string | null;
}

/** How a peer is reached. */
export interface SourceRoute {
  /** The address of this host from which it is reached. */
  readonly source: string;
  /** The network interface that has it. */
  readonly networkInterface: string | null;
  /** Null when no RDMA device belongs to it. */
  readonly entry: DeviceEntry | null;
}

/** What the tests put other things in place of. */
export interface Surroundings {
  /** Where the kernel tells about devices and interfaces: `/sys/class`. */
  readonly folder: string;
  readonly interfaces: typeof networkInterfaces;
}

const THIS_HOST: Surroundings = { folder: '/sys/class', interfaces: networkInterfaces };

// Connecting a socket of UDP sends nothing: the kernel looks where it would go.
async function sourceOf(address: string): Promise<string | undefined> {
  const socket: Socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
  try {
    socket.connect(9, address);
    await once(socket, 'connect');
    return unmapped(socket.address().address);
  } catch {
    return undefined;
  } finally {
    socket.close();
  }
}

function interfaceWith(address: string, interfaces: typeof networkInterfaces): string | null {
  const [bare] = address.split('%');
  const entries = Object.entries(interfaces());
  return entries.find(([, own]) => own?.some((one) => one.address === bare))?.[0] ?? null;
}

/** Whether an address belongs to this host. */
export function isOwnAddress(address: string): boolean {
  const own = unmapped(address);
  return own.startsWith('127.') || interfaceWith(own, networkInterfaces) !== null;
}

function list(...parts: string[]): string[] {
  try {
    return readdirSync(path.join(...parts));
  } catch {
    return [];
  }
}

// An empty entry of the table cannot be read: EINVAL.
function readText(...parts: string[]): string | undefined {
  try {
    return readFileSync(path.join(...parts), 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** As `inet_ntop` writes it, from the eight groups of the kernel. */
function showGid(gid: string): string {
  return new SocketAddress({ address: gid, family: 'ipv6' }).address;
}

// With IP over InfiniBand the GID is that of the port, and stands for no address.
function entryOfInfiniBand(folder: string, netdev: string): DeviceEntry | null {
  const [device] = list(folder, 'net', netdev, 'device', 'infiniband');
  if (device === undefined) return null;
  const devicePort = Number(readText(folder, 'net', netdev, 'dev_port') ?? 0) + 1;
  const gid = readText(folder, 'infiniband', device, 'ports', String(devicePort), 'gids', '0');
  if (gid === undefined) return null;
  return { device, devicePort, gid: showGid(gid), gidIndex: 0, gidType: null };
}

function entriesOf(folder: string, device: string): (DeviceEntry & { netdev: string })[] {
  return list(folder, device, 'ports').flatMap((port) => {
    const at = path.join(folder, device, 'ports', port);
    return list(at, 'gid_attrs', 'ndevs').flatMap((index) => {
      const netdev = readText(at, 'gid_attrs', 'ndevs', index);
      const gid = readText(at, 'gids', index);
      if (netdev === undefined || netdev === '' || gid === undefined) return [];
      const gidType = readText(at, 'gid_attrs', 'types', index) ?? null;
      const numbers = { devicePort: Number(port), gidIndex: Number(index) };
      return [{ device, ...numbers, gid: showGid(gid), gidType, netdev }];
    });
  });
}

/**
 * The entry that the connection manager takes for an address of this host, as far as the kernel
 * tells: RoCE v2 before v1, which is its default.
 */
export function deviceEntryFor(
  source: string,
  networkInterface: string | null,
  { folder }: Pick<Surroundings, 'folder'> = THIS_HOST,
): DeviceEntry | null {
  const [bare = ''] = source.split('%');
  const wanted = showGid(isIPv6(bare) ? bare : `::ffff:${bare}`);
  const devices = path.join(folder, 'infiniband');
  const all = list(devices).flatMap((device) => entriesOf(devices, device));
  const matching = all.filter(({ gid }) => gid === wanted);
  const found = matching.find(({ gidType }) => gidType === 'RoCE v2') ?? matching[0];
  if (found === undefined) {
    return networkInterface === null ? null : entryOfInfiniBand(folder, networkInterface);
  }
  const { device, devicePort, gid, gidIndex, gidType } = found;
  return { device, devicePort, gid, gidIndex, gidType };
}

/** How a peer is reached, or undefined when this host has no route to it. */
export async function findSourceRoute(
  address: string,
  surroundings: Surroundings = THIS_HOST,
): Promise<SourceRoute | undefined> {
  const source = await sourceOf(unmapped(address));
  if (source === undefined) return undefined;
  const networkInterface = interfaceWith(source, surroundings.interfaces);
  return {
    source,
    networkInterface,
    entry: deviceEntryFor(source, networkInterface, surroundings),
  };
}

/** An RDMA device of this host, and an IPv4 address that belongs to it. */
export interface OwnDevice {
  readonly name: string;
  readonly address: string;
}

/** The first RDMA device of this host that has an IPv4 address. */
export function findOwnDevice(surroundings: Surroundings = THIS_HOST): OwnDevice | undefined {
  for (const [networkInterface, addresses = []] of Object.entries(surroundings.interfaces())) {
    for (const { address, family, internal } of addresses) {
      if (family !== 'IPv4' || internal) continue;
      const entry = deviceEntryFor(address, networkInterface, surroundings);
      if (entry !== null) return { name: entry.device, address };
    }
  }
  return undefined;
}
