/** From which address of this host a peer is reached, and which RDMA device has that address. */

import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { unmapped } from '../address';
import { Files } from '../machine/files';
import { DEVICES, entryFor, gidOf, readGids, showGid } from '../machine/gids';

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
  readonly files: Files;
  readonly interfaces: typeof networkInterfaces;
}

const THIS_HOST: Surroundings = { files: new Files(), interfaces: networkInterfaces };

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

// With IP over InfiniBand the GID is that of the port, and stands for no address.
function entryOfInfiniBand(files: Files, netdev: string): DeviceEntry | null {
  const folder = `/sys/class/net/${netdev}`;
  const [device] = files.list(`${folder}/device/infiniband`);
  if (device === undefined) return null;
  const devicePort = (files.number(`${folder}/dev_port`) ?? 0) + 1;
  const gid = files.text(`${DEVICES}/${device}/ports/${devicePort}/gids/0`);
  if (gid === undefined) return null;
  return { device, devicePort, gid: showGid(gid), gidIndex: 0, gidType: null };
}

/** The entry that the connection manager takes for an address of this host. */
export function deviceEntryFor(
  source: string,
  networkInterface: string | null,
  { files }: Pick<Surroundings, 'files'> = THIS_HOST,
): DeviceEntry | null {
  const all = files.list(DEVICES).flatMap((device) =>
    files.list(`${DEVICES}/${device}/ports`).flatMap((port) => {
      // Those of InfiniBand belong to no network device.
      const gids = readGids(files, device, Number(port)).filter(({ netdev }) => netdev);
      return gids.map((one) => ({ device, devicePort: Number(port), ...one }));
    }),
  );
  const found = entryFor(gidOf(source), all);
  if (found === undefined) {
    return networkInterface === null ? null : entryOfInfiniBand(files, networkInterface);
  }
  const { device, devicePort, gid, index, type } = found;
  const gidType = type === '' ? null : type;
  return { device, devicePort, gid: showGid(gid), gidIndex: index, gidType };
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
