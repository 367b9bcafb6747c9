/** What the doctor makes of RDMA devices, their ports and plug-ins, and this host's addresses. */

import { reasonFor } from '../reasons';
import { asRoot, ok, problem, problemOf, warning, type Check } from './check';
import type { AddressFacts, DeviceFacts, Facts, NetdevFacts, PortFacts } from './facts';
import { milliseconds } from './program-checks';
import { giveDevices, installCommand } from './remedies';

/** What RoCE's headers take of a packet: iboe_get_mtu of the kernel. */
const HEADER_BYTES = 96;
const MTUS = [4096, 2048, 1024, 512, 256];
/** What a network device of 1500 bytes has; less makes large messages slow. */
const MTU_MIN = 1024;

export function checkDevices(facts: Facts): Check[] {
  const { devices, elsewhere } = facts;
  if (devices.length === 0) return elsewhere.length > 0 ? [] : [checkNoDevice(facts)];
  return devices.flatMap((device) => [
    checkDevice(facts, device),
    ...(device.nodeType === 'RNIC' ? [] : checkProvider(facts, device)),
    ...device.ports.flatMap((port) => [
      checkPort(facts, device, port),
      ...checkMtu(facts, device, port),
    ]),
  ]);
}

/** Whether connections can be made over a port, as far as the port itself goes. */
function isUsable(device: DeviceFacts, port: PortFacts): boolean {
  const hasPlugin = device.provider.file !== undefined && device.provider.listed;
  return device.nodeType !== 'RNIC' && port.state === 'ACTIVE' && hasPlugin;
}

/** What is wrong with a port is a problem where there is no other. */
function grade(facts: Facts, check: Check): Check {
  const others = facts.devices.some((each) => each.ports.some((port) => isUsable(each, port)));
  return check.state === 'problem' && others ? { ...check, state: 'warning' } : check;
}

function checkNoDevice(facts: Facts): Check {
  const { system, adapters, addresses, defaultNetdev, hasSoftwareRdma } = facts;
  const reason = reasonFor('no-device');
  const [adapter] = adapters;
  if (adapter !== undefined) {
    const { address, driver = 'none', module } = adapter;
    const fix = [asRoot(system, `modprobe ${module}`)];
    return problemOf(
      'device',
      reasonFor('no-device', `adapter ${address}, driver ${driver}, could be one`),
      fix,
    );
  }
  if (system.container !== undefined) {
    return problemOf('device', reason, [
      'on the host of the container: npx rdma-net doctor',
      `if it has one there, ${giveDevices(system)}`,
    ]);
  }
  const netdev = defaultNetdev ?? addresses[0]?.netdev ?? 'eth0';
  if (!hasSoftwareRdma) {
    return problemOf('device', reason, [
      'an adapter for RoCE or InfiniBand',
      `or RDMA in software, with a kernel that has the module rdma_rxe (${system.release} has not)`,
    ]);
  }
  const command = asRoot(system, `rdma link add rxe0 type rxe netdev ${netdev}`);
  return problemOf('device', reason, [
    'an adapter for RoCE or InfiniBand',
    `or RDMA in software, to try it out (slower than TCP): ${command}`,
  ]);
}

function checkDevice(facts: Facts, device: DeviceFacts): Check {
  const { name, driver, software, firmware, model, nodeType } = device;
  const parts = [
    software ? `${driver}, RDMA in software` : `driver ${driver}`,
    ...(model === undefined ? [] : [model]),
    ...(firmware === undefined ? [] : [`firmware ${firmware}`]),
  ];
  if (nodeType !== 'RNIC') return ok('device', `${name}: ${parts.join(', ')}`);
  const text = `${name} is iWARP (${parts.join(', ')}), which rdma-net does not use.`;
  const fix = ['use an adapter for RoCE or InfiniBand'];
  if (/^(ice|irdma)$/.test(driver)) {
    fix.unshift(
      'change it to RoCE: devlink dev param set pci/ADDRESS name enable_roce value true cmode runtime',
    );
  }
  return grade(facts, problem('device', text, fix, 'device-unsuitable'));
}

function checkProvider(facts: Facts, { name, provider }: DeviceFacts): Check[] {
  const { system, libraries } = facts;
  const hasVerbs = libraries.some(
    (one) => one.name.startsWith('libibverbs') && one.error === undefined,
  );
  if (!hasVerbs) return [];
  const { file, listed } = provider;
  if (file !== undefined && listed) return [ok('provider', `${name}: ${file}`)];
  const what =
    file === undefined
      ? `its plug-in lib${provider.name}-rdmav*.so`
      : `the name of its plug-in: no file of /etc/libibverbs.d has the line "driver ${provider.name}"`;
  const text = `libibverbs cannot use ${name} for want of ${what}.`;
  const check = problem('provider', text, [installCommand(system, 'providers')], 'no-device');
  return [grade(facts, check)];
}

function checkPort(facts: Facts, device: DeviceFacts, port: PortFacts): Check {
  const { state, physicalState, linkLayer, rate, gids, number } = port;
  const name = `${device.name}/${number}`;
  if (state === 'ACTIVE') {
    const versions = [...new Set(gids.map(({ type }) => type))].filter((type) => type !== '');
    const mtu = mtuOf(facts, device, port);
    const parts = [`${name}: ${state}, ${linkLayer}`, rate];
    if (mtu !== undefined) parts.push(`MTU ${mtu}`);
    if (port.netdevs.length > 0) parts.push(`on ${port.netdevs.join(', ')}`);
    parts.push(`GIDs: ${gids.length}${versions.length > 0 ? ` (${versions.join(', ')})` : ''}`);
    return ok('port', parts.filter((part) => part !== '').join(', '));
  }
  const text = `${name} is ${state} (${physicalState}).`;
  return grade(facts, problem('port', text, portRemedies(facts, port), 'no-device'));
}

function portRemedies({ system, netdevs }: Facts, port: PortFacts): string[] {
  const { state, physicalState, linkLayer } = port;
  if (linkLayer === 'InfiniBand') {
    if (state === 'INIT' || state === 'ARMED') {
      return [
        `no subnet manager has set it up; on one host of the network: ${asRoot(system, 'systemctl enable --now opensm')}`,
      ];
    }
    return [`check the cable and the switch: the port is ${physicalState}`];
  }
  const netdev = netdevs.find(({ name }) => port.netdevs.includes(name));
  if (netdev === undefined) return ['bring up the network device under it'];
  if (!netdev.up) return [asRoot(system, `ip link set ${netdev.name} up`)];
  return [`${netdev.name} has no carrier: check the cable, and the other end of it`];
}

/** Of the path, as a connection has found it; else what the network device allows. */
function mtuOf(facts: Facts, device: DeviceFacts, port: PortFacts): number | undefined {
  const own = facts.addresses.filter(
    ({ rdma }) => rdma?.device === device.name && rdma.port === port.number,
  );
  const trial = facts.trials.find(({ address }) => own.some((one) => one.address === address));
  if (trial?.mtu !== undefined) return trial.mtu;
  const netdev = facts.netdevs.find(({ name }) => port.netdevs.includes(name));
  if (netdev === undefined || port.linkLayer !== 'Ethernet') return undefined;
  return MTUS.find((mtu) => mtu + HEADER_BYTES <= netdev.mtu);
}

function checkMtu(facts: Facts, device: DeviceFacts, port: PortFacts): Check[] {
  const mtu = mtuOf(facts, device, port);
  if (port.state !== 'ACTIVE' || mtu === undefined || mtu >= MTU_MIN) return [];
  const netdev = facts.netdevs.find(({ name }) => port.netdevs.includes(name));
  const under = netdev === undefined ? '' : `, for ${netdev.name} has one of ${netdev.mtu}`;
  const text = `${device.name}/${port.number} has an MTU of only ${mtu} bytes${under}: it is slow.`;
  const command = asRoot(facts.system, `ip link set ${netdev?.name ?? 'NETDEV'} mtu 4200`);
  return [
    warning('mtu', text, [
      `${command}, on both hosts and if all switches between them let such packets through`,
      'or 1500, with which RDMA has 1024',
    ]),
  ];
}

export function checkAddresses(facts: Facts): Check[] {
  const { devices, addresses } = facts;
  const checks = addresses.flatMap((address) => checkAddress(facts, address));
  const active = devices.flatMap((device) =>
    device.ports.filter((port) => isUsable(device, port)).map((port) => ({ device, port })),
  );
  for (const { device, port } of active) {
    const isUsed = addresses.some(
      ({ rdma }) => rdma?.device === device.name && rdma.port === port.number,
    );
    if (!isUsed) checks.push(...checkNoAddress(facts, device, port));
  }
  return checks;
}

function checkNoAddress(facts: Facts, device: DeviceFacts, port: PortFacts): Check[] {
  const { system, netdevs, addresses } = facts;
  const netdev = netdevs.find(({ name }) => port.netdevs.includes(name));
  // In another namespace, as is said elsewhere.
  if (netdev === undefined && port.netdevs.length > 0) return [];
  const name = netdev?.name ?? 'NETDEV';
  const text = `${device.name}/${port.number} has no IP address, by which connections could find it.`;
  const fix = [asRoot(system, `ip address add ADDRESS/PREFIX dev ${name}`)];
  if (netdev === undefined && port.linkLayer === 'InfiniBand') {
    fix.unshift(asRoot(system, 'modprobe ib_ipoib'));
  }
  const isAlone = !addresses.some(({ rdma }) => rdma !== undefined);
  return [isAlone ? problem('gid', text, fix, 'no-route') : warning('gid', text, fix)];
}

function checkAddress(facts: Facts, one: AddressFacts): Check[] {
  const { address, netdev, rdma } = one;
  const head = `${address} (${netdev})`;
  if (rdma === undefined) return checkPlainAddress(facts, one);
  const device = facts.devices.find(({ name }) => name === rdma.device);
  if (device === undefined || device.nodeType === 'RNIC') return [];
  const gid = rdma.gid === undefined ? '' : `, GID ${rdma.gid.index} (${rdma.gid.type})`;
  const where = `${head}: ${rdma.device}/${rdma.port}${gid}`;
  const trial = facts.trials.find((each) => each.address === address);
  if (trial === undefined) return [ok('address', where)];
  const { reason, connectMs, roundTripMs } = trial;
  if (reason !== undefined) {
    const fix = reason.fix === '' ? ['NODE_DEBUG=rdma-net tells more'] : [reason.fix];
    const text = `${where} cannot be reached from this very host: ${reason.text} ${reason.detail}`;
    return [problem('address', text.trim(), fix, reason.code)];
  }
  const times = `connected to itself in ${milliseconds(connectMs)}, there and back ${milliseconds(roundTripMs)}`;
  return [ok('address', `${where}; ${times}`)];
}

/** One without RDMA is worth a word only where RDMA could be expected there. */
function checkPlainAddress(facts: Facts, { address, netdev }: AddressFacts): Check[] {
  const { devices, system, netdevs } = facts;
  const found = netdevs.find(({ name }) => name === netdev);
  if (devices.length === 0 || found === undefined || found.kind === 'tunnel') return [];
  const below = devicesBelow(netdevs, found, devices);
  if (found.kind === 'bridge' && below.length === 0) return [];
  const text = `${address} (${netdev}, ${kindName(found)}) has no RDMA: connections from and to it are TCP.`;
  const [device] = below;
  if (device !== undefined) {
    const { netdev: own, name } = device;
    return [
      warning('address', text, [
        `${name} is on ${own}; give that an address of its own, and use it: ${asRoot(system, `ip address add ADDRESS/PREFIX dev ${own}`)}`,
      ]),
    ];
  }
  const used = facts.addresses.find(({ rdma }) => rdma !== undefined)?.address;
  const fix = used === undefined ? [] : [`connect to addresses of the network of ${used} instead`];
  if (facts.hasSoftwareRdma && found.kind === 'ethernet') {
    const command = asRoot(system, `rdma link add rxe_${netdev} type rxe netdev ${netdev}`);
    fix.push(`or RDMA in software, to try it out: ${command}`);
  }
  return [warning('address', text, fix)];
}

function kindName({ kind }: NetdevFacts): string {
  const names: Partial<Record<NetdevFacts['kind'], string>> = {
    vlan: 'VLAN',
    ethernet: 'Ethernet',
  };
  return names[kind] ?? kind;
}

/** RDMA devices of the network devices on which one stands. */
function devicesBelow(
  netdevs: readonly NetdevFacts[],
  { lower }: NetdevFacts,
  devices: readonly DeviceFacts[],
): { name: string; netdev: string }[] {
  return lower.flatMap((netdev) => {
    const own = devices.filter(({ ports }) => ports.some((port) => port.netdevs.includes(netdev)));
    const next = netdevs.find(({ name }) => name === netdev);
    const deeper = next === undefined ? [] : devicesBelow(netdevs, next, devices);
    return [...own.map(({ name }) => ({ name, netdev })), ...deeper];
  });
}
