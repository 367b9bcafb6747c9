/**
 * What `rdma-net doctor` finds out about a machine, before anything is made of it. The types are those
 * of `facts` in the output of `doctor --json`.
 */

import type { GidFacts } from '../machine/gids';
import type { FabricTransportName, Mode } from '../mode';
import type { Reason } from '../reasons';

/** Whose process this is, and in what it runs. */
export interface SystemFacts {
  platform: string;
  architecture: string;
  /** Of the kernel. */
  release: string;
  /** `ID` and `ID_LIKE` of /etc/os-release. */
  distribution: string[];
  distributionName: string;
  userId: number;
  userName: string;
  /** What the container is recognised by, or undefined where there is none. */
  container: 'docker' | 'podman' | 'kubernetes' | 'lxc' | 'other' | undefined;
}

/** This Node, and what rdma-net was asked for. */
export interface ProgramFacts {
  nodeVersion: string;
  nodeApiVersion: string;
  /** Whether Node's permission model is in force, and whether it lets /proc and /sys be read. */
  permissionModel: boolean;
  maySeeSystem: boolean;
  /** Why nothing can be caught in this Node, if so. */
  internals: Reason | undefined;
  mode: Mode;
  /** Names that begin as those of settings do, and are none. */
  unknownVariables: string[];
  transports: readonly FabricTransportName[];
  /** Whether the transport may be used, if only by a rule. */
  localWanted: boolean;
  rdmaWanted: boolean;
  /** As text, with where each stands. */
  rules: string[];
  pinnedBytesMax: number;
  addon: { loaded: boolean; hasVerbs: boolean; file: string | undefined; error: string };
}

/** A library that rdma-net opens at run time. */
export interface LibraryFacts {
  name: string;
  /** Undefined where the loader would not find it. */
  file: string | undefined;
  version: string | undefined;
  /** Why it cannot be loaded, as the loader says it. */
  error: string | undefined;
  /** Functions that rdma-net needs, and that it does not name. */
  lacking: string[];
}

/** A part of the kernel that RDMA needs. */
export interface ModuleFacts {
  name: string;
  state: 'loaded' | 'built in' | 'not loaded';
}

/** A file of /dev/infiniband. */
export interface DeviceFileFacts {
  path: string;
  /** As `10:121`, where the kernel has such a device. */
  numbers: string | undefined;
  /** As `crw-rw---- root rdma`; undefined where there is no such file. */
  permissions: string | undefined;
  /** The name of its group, where that may read and write. */
  group: string | undefined;
  /** The code of the error with which it cannot be opened. */
  error: string | undefined;
}

export interface MemoryLockFacts {
  /** Bytes, Infinity where there is no limit; null in JSON. */
  soft: number;
  hard: number;
  /** Whether the kernel lets this process pin more (CAP_IPC_LOCK). */
  exempt: boolean;
}

export interface PortFacts {
  number: number;
  /** As `ACTIVE` and `LinkUp`. */
  state: string;
  physicalState: string;
  linkLayer: string;
  rate: string;
  gids: GidFacts[];
  /** Network devices whose addresses are those of this port. */
  netdevs: string[];
}

export interface DeviceFacts {
  name: string;
  /** As `CA`, or `RNIC` for iWARP. */
  nodeType: string;
  /** Of the kernel; `rxe` and `siw` are software. */
  driver: string;
  software: boolean;
  firmware: string | undefined;
  /** Of the adapter, as `MT4119`. */
  model: string | undefined;
  /** As `uverbs0`. */
  uverbs: string | undefined;
  ports: PortFacts[];
  /** The plug-in of libibverbs for it. */
  provider: { name: string; file: string | undefined; listed: boolean };
}

/** A network adapter that could do RDMA, and has no RDMA device. */
export interface AdapterFacts {
  address: string;
  driver: string | undefined;
  module: string;
}

export interface NetdevFacts {
  name: string;
  /** Up by its administrator, and with a carrier. */
  up: boolean;
  carrier: boolean;
  mtu: number;
  kind: 'ethernet' | 'infiniband' | 'loopback' | 'bridge' | 'bond' | 'vlan' | 'tunnel' | 'other';
  /** Those it stands on: ports of a bridge, members of a bond, the parent of a VLAN. */
  lower: string[];
  /** RDMA devices of the same adapter. */
  devices: string[];
}

export interface AddressFacts {
  address: string;
  netdev: string;
  /** The device that has this address. */
  rdma: { device: string; port: number; gid: GidFacts | undefined } | undefined;
}

/** A rule of a packet filter that concerns RoCE. */
export interface FilterRuleFacts {
  /** As `inet filter input`. */
  chain: string;
  /** What it does there, as `drop`, or that this is the policy. */
  verdict: string;
  /** The command, without `sudo`, that heals it. */
  command: string;
}

export interface FilterFacts {
  /** Whether the rules could be read; where not, why. */
  seen: 'nftables' | 'not root' | 'no nft' | 'nft failed';
  /** The iptables whose rules are there, and cannot be read: `iptables-legacy`. */
  unread: string[];
  rules: FilterRuleFacts[];
  /** Whether a packet to a device's own address was refused by the kernel. */
  sendRefused: boolean;
}

/** A connection of this process to itself over one transport. */
export interface TrialFacts {
  address: string;
  /** Undefined when it worked. */
  reason: Reason | undefined;
  connectMs: number | undefined;
  roundTripMs: number | undefined;
  /** Of the path, in bytes. */
  mtu: number | undefined;
}

/** A program that runs. */
export interface ProcessFacts {
  pid: number;
  /** As the kernel calls it. */
  program: string;
  userId: number;
}

/** A name of shared memory that somebody has taken to whom it does not belong. */
export interface LocalNameFacts {
  /** In the abstract namespace of Unix-domain sockets. */
  name: string;
  port: number;
  /** Who has it; undefined where this user cannot see that. */
  holder: ProcessFacts | undefined;
  /** Who listens at that port over TCP; undefined where nobody does. */
  server: ProcessFacts | undefined;
}

/** Everything. */
export interface Facts {
  system: SystemFacts;
  program: ProgramFacts;
  local: TrialFacts | undefined;
  takenNames: LocalNameFacts[];
  libraries: LibraryFacts[];
  modules: ModuleFacts[];
  /** Whether the kernel could load rdma_rxe: software RDMA. */
  hasSoftwareRdma: boolean;
  files: DeviceFileFacts[];
  memoryLock: MemoryLockFacts;
  devices: DeviceFacts[];
  /** Devices of other network namespaces. */
  elsewhere: string[];
  /** Whether devices belong to one network namespace each. */
  exclusiveNamespaces: boolean;
  adapters: AdapterFacts[];
  netdevs: NetdevFacts[];
  addresses: AddressFacts[];
  /** The network device of the default route. */
  defaultNetdev: string | undefined;
  filter: FilterFacts | undefined;
  /** Whether libraries and devices can be opened; undefined where that was not tried. */
  opening: { reason: Reason | undefined } | undefined;
  trials: TrialFacts[];
}
