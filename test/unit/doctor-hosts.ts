/** Hosts for the doctor: trees of files as sysfs has them, and what a healthy one is known by. */

import type { NetworkInterfaceInfo } from 'node:os';
import type { Facts } from '../../lib/doctor/facts';

/** A folder by the names in it; text is a file, and a link is made by the test's runner. */
export interface Tree {
  [name: string]: Tree | string | object;
}

/** Makes a symbolic link in a tree. */
export type Link = (target: string) => object;

/** One address as os.networkInterfaces() gives it. */
export function address(text: string, internal = false): NetworkInterfaceInfo {
  const common = { address: text, netmask: '', mac: '', internal, cidr: null };
  return text.includes(':')
    ? { ...common, family: 'IPv6', scopeid: 0 }
    : { ...common, family: 'IPv4' };
}

interface Port {
  state?: string;
  physicalState?: string;
  linkLayer?: string;
  /** By index. */
  gids?: Record<number, [gid: string, type?: string, netdev?: string]>;
}

const EMPTY_GID = '0000:0000:0000:0000:0000:0000:0000:0000';

/** A port under `ports/`. */
export function portTree({ state, physicalState, linkLayer, gids = {} }: Port): Tree {
  const [names, types, netdevs]: [Tree, Tree, Tree] = [{}, {}, {}];
  const last = Math.max(...Object.keys(gids).map(Number), 0);
  for (let index = 0; index <= last + 40; index++) {
    const [gid, type, netdev] = gids[index] ?? [EMPTY_GID];
    names[index] = `${gid}\n`;
    if (type !== undefined) types[index] = `${type}\n`;
    if (netdev !== undefined) netdevs[index] = `${netdev}\n`;
  }
  return {
    state: `${state ?? '4: ACTIVE'}\n`,
    phys_state: `${physicalState ?? '5: LinkUp'}\n`,
    link_layer: `${linkLayer ?? 'Ethernet'}\n`,
    rate: '100 Gb/sec (4X EDR)\n',
    gids: names,
    gid_attrs: { types, ndevs: netdevs },
  };
}

/** A network device under /sys/class/net. */
export function netdevTree(more: Tree = {}, type = 1): Tree {
  return { flags: '0x1003\n', carrier: '1\n', mtu: '1500\n', type: `${type}\n`, ...more };
}

/** A host with InfiniBand, RoCE over a bond with a VLAN, and iWARP. */
export function manyDevices(link: Link): Tree {
  const v1 = 'IB/RoCE v1';
  const v2 = 'RoCE v2';
  return {
    sys: {
      class: {
        infiniband: {
          mlx5_0: {
            node_type: '1: CA\n',
            fw_ver: '20.35.1012\n',
            hca_type: 'MT4123\n',
            device: {
              driver: link('../../../drivers/mlx5_core'),
              net: { ib0: { dev_port: '0\n' } },
            },
            ports: {
              1: portTree({
                state: '2: INIT',
                linkLayer: 'InfiniBand',
                gids: { 0: ['fe80:0000:0000:0000:0c42:a103:0079:a2b8', v1] },
              }),
            },
          },
          mlx5_bond_0: {
            node_type: '1: CA\n',
            fw_ver: '22.36.1010\n',
            device: {
              driver: link('../../../drivers/mlx5_core'),
              net: { enp1s0f0np0: { dev_port: '0\n' } },
            },
            ports: {
              1: portTree({
                gids: {
                  0: ['fe80:0000:0000:0000:0e42:a1ff:fe79:a2b8', v1, 'bond0'],
                  2: ['0000:0000:0000:0000:0000:ffff:c000:020a', v1, 'bond0'],
                  3: ['0000:0000:0000:0000:0000:ffff:c000:020a', v2, 'bond0'],
                  9: ['2001:0db8:0000:0000:0000:0000:0000:0007', v2, 'bond0.100'],
                },
              }),
            },
          },
          rocep9s0: {
            node_type: '4: RNIC\n',
            fw_ver: '1.60\n',
            device: { driver: link('../../../drivers/ice'), net: { ens9: { dev_port: '0\n' } } },
            ports: { 1: portTree({ gids: { 0: ['b496:91a5:5d58:0000:0000:0000:0000:0000'] } }) },
          },
        },
        infiniband_verbs: {
          uverbs0: { ibdev: 'mlx5_0\n', dev: '231:192\n' },
          uverbs1: { ibdev: 'mlx5_bond_0\n', dev: '231:193\n' },
          uverbs2: { ibdev: 'rocep9s0\n', dev: '231:194\n' },
          uverbs3: { ibdev: 'mlx5_7\n', dev: '231:195\n' },
        },
        net: {
          lo: netdevTree({}, 772),
          ib0: netdevTree({ device: { infiniband: { mlx5_0: {} } } }, 32),
          bond0: netdevTree({ uevent: 'DEVTYPE=bond\n', lower_enp1s0f0np0: {} }),
          'bond0.100': netdevTree({ uevent: 'DEVTYPE=vlan\n', lower_bond0: {} }),
          br0: netdevTree({ uevent: 'DEVTYPE=bridge\n', lower_bond0: {} }),
          docker0: netdevTree({ uevent: 'DEVTYPE=bridge\n' }),
          enp1s0f0np0: netdevTree(),
          ens9: netdevTree({ device: { infiniband: { rocep9s0: {} } } }),
          eno1: netdevTree(),
          tailscale0: netdevTree({ tun_flags: '0x1001\n' }, 65534),
        },
      },
    },
    etc: { 'libibverbs.d': { 'mlx5.driver': 'driver mlx5\n', 'irdma.driver': 'driver irdma\n' } },
    lib: { libibverbs: { 'libmlx5-rdmav34.so': '', 'libirdma-rdmav34.so': '' } },
  };
}

/** What is known of a host with software RDMA on which all is right. */
export function healthyFacts(): Facts {
  const gid = { index: 1, gid: '', type: 'RoCE v2', netdev: 'eth0' };
  const file = { numbers: '10:1', permissions: 'rw-rw-rw- 0:root', group: undefined };
  const trial = { reason: undefined, connectMs: 1, roundTripMs: 1, mtu: 1024 };
  return {
    system: {
      platform: 'linux',
      architecture: 'x64',
      release: '6.1.0',
      distribution: ['debian'],
      distributionName: 'Debian',
      userId: 1000,
      userName: 'me',
      container: undefined,
    },
    program: {
      nodeVersion: 'v20.0.0',
      nodeApiVersion: '9',
      permissionModel: false,
      maySeeSystem: true,
      internals: undefined,
      mode: 'prefer',
      unknownVariables: [],
      transports: ['local', 'rdma'],
      localWanted: true,
      rdmaWanted: true,
      rules: [],
      pinnedBytesMax: 256 << 20,
      addon: { loaded: true, hasVerbs: true, file: '/addon.node', error: '' },
    },
    local: { address: '127.0.0.1', ...trial, mtu: undefined },
    takenNames: [],
    libraries: ['librdmacm.so.1', 'libibverbs.so.1'].map((name) => ({
      name,
      file: `/lib/${name}`,
      version: '1.3.44.0',
      error: undefined,
      lacking: [],
    })),
    modules: [
      { name: 'rdma_cm', state: 'loaded' },
      { name: 'rdma_ucm', state: 'built in' },
    ],
    hasSoftwareRdma: true,
    files: [
      { path: '/dev/infiniband/rdma_cm', ...file, error: undefined },
      { path: '/dev/infiniband/uverbs0', ...file, error: undefined },
    ],
    memoryLock: { soft: Infinity, hard: Infinity, exempt: false },
    devices: [
      {
        name: 'rxe0',
        nodeType: 'CA',
        driver: 'rxe',
        software: true,
        firmware: undefined,
        model: undefined,
        uverbs: 'uverbs0',
        ports: [
          {
            number: 1,
            state: 'ACTIVE',
            physicalState: 'LinkUp',
            linkLayer: 'Ethernet',
            rate: '',
            gids: [gid],
            netdevs: ['eth0'],
          },
        ],
        provider: { name: 'rxe', file: '/librxe-rdmav34.so', listed: true },
      },
    ],
    elsewhere: [],
    exclusiveNamespaces: false,
    adapters: [],
    netdevs: [
      {
        name: 'eth0',
        up: true,
        carrier: true,
        mtu: 1500,
        kind: 'ethernet',
        lower: [],
        devices: [],
      },
    ],
    addresses: [{ address: '192.0.2.1', netdev: 'eth0', rdma: { device: 'rxe0', port: 1, gid } }],
    defaultNetdev: 'eth0',
    filter: { seen: 'not root', unread: [], rules: [], sendRefused: false },
    opening: { reason: undefined },
    trials: [{ address: '192.0.2.1', ...trial }],
  };
}
