/** Network devices, this host's addresses, and which of them an RDMA device has. */

import type { NetworkInterfaceInfo } from 'node:os';
import type { Files } from '../machine/files';
import { entryFor, gidOf } from '../machine/gids';
import type { AddressFacts, DeviceFacts, NetdevFacts, PortFacts } from './facts';

const NETDEVS = '/sys/class/net';
const IFF_UP = 1;
const ARPHRD_ETHER = 1;
const ARPHRD_INFINIBAND = 32;
const ARPHRD_LOOPBACK = 772;

/** All network devices of this network namespace. */
export function findNetdevs(files: Files): NetdevFacts[] {
  return files
    .list(NETDEVS)
    .filter((name) => files.has(`${NETDEVS}/${name}/flags`))
    .map((name) => {
      const folder = `${NETDEVS}/${name}`;
      const lower = files.list(folder).filter((each) => each.startsWith('lower_'));
      return {
        name,
        up: ((files.number(`${folder}/flags`) ?? 0) & IFF_UP) !== 0,
        carrier: files.text(`${folder}/carrier`) === '1',
        mtu: files.number(`${folder}/mtu`) ?? 0,
        kind: kindOf(files, folder),
        lower: lower.map((each) => each.slice('lower_'.length)),
        devices: files.list(`${folder}/device/infiniband`),
      };
    });
}

function kindOf(files: Files, folder: string): NetdevFacts['kind'] {
  const type = files.number(`${folder}/type`);
  const kind = /^DEVTYPE=(\S+)$/m.exec(files.text(`${folder}/uevent`) ?? '')?.[1];
  if (type === ARPHRD_LOOPBACK) return 'loopback';
  if (type === ARPHRD_INFINIBAND) return 'infiniband';
  if (kind === 'bridge' || kind === 'bond' || kind === 'vlan') return kind;
  // Tunnels in software, as of VPNs, have no kind but a file of their own.
  if (files.has(`${folder}/tun_flags`) || kind === 'wireguard' || kind === 'vxlan') return 'tunnel';
  return type === ARPHRD_ETHER ? 'ethernet' : 'other';
}

/** The network device of the default route. */
export function findDefaultNetdev(files: Files): string | undefined {
  const lines = (files.text('/proc/net/route') ?? '').split('\n').slice(1);
  const found = lines.map((line) => line.split(/\s+/)).find(([, target]) => target === '00000000');
  return found?.[0];
}

/**
 * Addresses beside those of loopback and of one link, with the RDMA device that has each.
 * @param interfaces as os.networkInterfaces() gives them
 */
export function findAddresses(
  interfaces: Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>,
  devices: readonly DeviceFacts[],
  netdevs: readonly NetdevFacts[],
): AddressFacts[] {
  const found: AddressFacts[] = [];
  for (const [netdev, addresses = []] of Object.entries(interfaces)) {
    for (const { address, internal, family } of addresses) {
      if (internal || (family === 'IPv6' && /^fe[89ab]/i.test(address))) continue;
      found.push({ address, netdev, rdma: deviceOf(address, netdev, devices, netdevs) });
    }
  }
  return found;
}

function deviceOf(
  address: string,
  netdev: string,
  devices: readonly DeviceFacts[],
  netdevs: readonly NetdevFacts[],
): AddressFacts['rdma'] {
  const wanted = gidOf(address);
  const siblings = netdevs.find(({ name }) => name === netdev)?.devices ?? [];
  for (const device of devices) {
    for (const port of device.ports) {
      const own = port.gids.filter((each) => each.netdev === netdev);
      const gid = entryFor(wanted, own);
      if (gid !== undefined) return { device: device.name, port: port.number, gid };
      // On InfiniBand and iWARP the GIDs are not made of addresses.
      const isOther = port.linkLayer === 'InfiniBand' || device.nodeType === 'RNIC';
      if (isOther && isNetdevOf(port, netdev, device.name, siblings)) {
        return { device: device.name, port: port.number, gid: undefined };
      }
    }
  }
  return undefined;
}

function isNetdevOf(
  port: PortFacts,
  netdev: string,
  device: string,
  own: readonly string[],
): boolean {
  return port.netdevs.length > 0 ? port.netdevs.includes(netdev) : own.includes(device);
}
