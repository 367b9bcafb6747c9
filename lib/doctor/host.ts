/** The kernel, the files of /dev/infiniband, limits and adapters of this machine. */

import { closeSync, openSync } from 'node:fs';
import { arch, release, userInfo } from 'node:os';
import type {
  AdapterFacts,
  DeviceFacts,
  DeviceFileFacts,
  MemoryLockFacts,
  ModuleFacts,
  SystemFacts,
} from './facts';
import type { Files } from '../machine/files';

const CAP_IPC_LOCK = 14;

/** What RDMA through librdmacm needs of the kernel, with what shows that it is there. */
const MODULES = {
  ib_core: '/sys/class/infiniband',
  ib_uverbs: '/sys/class/infiniband_verbs',
  rdma_cm: undefined,
  rdma_ucm: '/sys/class/misc/rdma_cm',
} as const;

/** Adapters whose RDMA device comes with a module of its own, by the driver of their network side. */
const RDMA_MODULES: Readonly<Record<string, string>> = {
  mlx5_core: 'mlx5_ib',
  mlx4_core: 'mlx4_ib',
  bnxt_en: 'bnxt_re',
  ice: 'irdma',
  qede: 'qedr',
  hns3: 'hns_roce_hw_v2',
};

export function findSystem(files: Files, platform: string): SystemFacts {
  const text = files.text('/etc/os-release') ?? '';
  const field = (name: string): string =>
    new RegExp(`^${name}="?([^"\n]*)"?$`, 'm').exec(text)?.[1] ?? '';
  return {
    platform,
    architecture: arch(),
    release: release(),
    distribution: `${field('ID')} ${field('ID_LIKE')}`.split(' ').filter((word) => word !== ''),
    distributionName: field('PRETTY_NAME'),
    userId: process.geteuid?.() ?? -1,
    userName: userName(),
    container: containerOf(files),
  };
}

// A user of a container may be one that no file names.
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `user ${process.geteuid?.() ?? '?'}`;
  }
}

function containerOf(files: Files): SystemFacts['container'] {
  if (process.env['KUBERNETES_SERVICE_HOST'] !== undefined) return 'kubernetes';
  const groups = files.text('/proc/1/cgroup') ?? '';
  if (groups.includes('kubepods')) return 'kubernetes';
  if (files.has('/run/.containerenv')) return 'podman';
  if (files.has('/.dockerenv') || groups.includes('docker')) return 'docker';
  if (groups.includes('lxc')) return 'lxc';
  return process.env['container'] === undefined ? undefined : 'other';
}

/** Modules that RDMA needs, and those of the devices that there are. */
export function findModules(files: Files): ModuleFacts[] {
  return Object.entries(MODULES).map(([name, sign]) => {
    if (files.has(`/sys/module/${name}`)) return { name, state: 'loaded' };
    const builtIn = files.text(`/lib/modules/${release()}/modules.builtin`) ?? '';
    // One that is built in shows by what it makes where nobody has the list.
    const isBuiltIn = builtIn.includes(`/${name}.ko`) || (sign !== undefined && files.has(sign));
    return { name, state: isBuiltIn ? 'built in' : 'not loaded' };
  });
}

/** Whether `rdma link add ... type rxe` can work. */
export function hasSoftwareRdma(files: Files): boolean {
  if (files.has('/sys/module/rdma_rxe')) return true;
  const folder = `/lib/modules/${release()}`;
  return ['modules.dep', 'modules.builtin'].some((name) =>
    (files.text(`${folder}/${name}`) ?? '').includes('/rdma_rxe.ko'),
  );
}

/** rdma_cm, and the file of each device. */
export function findDeviceFiles(files: Files, devices: readonly DeviceFacts[]): DeviceFileFacts[] {
  if (devices.length === 0) return [];
  const names = devices.flatMap(({ uverbs }) => (uverbs === undefined ? [] : [uverbs]));
  return [
    describeFile(files, 'rdma_cm', '/sys/class/misc/rdma_cm'),
    ...names.map((name) => describeFile(files, name, `/sys/class/infiniband_verbs/${name}`)),
  ];
}

function describeFile(files: Files, name: string, sign: string): DeviceFileFacts {
  const path = `/dev/infiniband/${name}`;
  const stat = files.stat(path);
  const mayGroup = stat !== undefined && (stat.mode & 0o060) === 0o060 && stat.groupId !== 0;
  return {
    path,
    numbers: files.text(`${sign}/dev`),
    permissions: stat && `${bits(stat.mode)} ${stat.userId}:${groupName(files, stat.groupId)}`,
    group: mayGroup ? groupName(files, stat.groupId) : undefined,
    error: whyNotOpen(path),
  };
}

function bits(mode: number): string {
  return [6, 3, 0]
    .map((shift) =>
      ['r', 'w', 'x'].map((letter, n) => ((mode >> (shift + 2 - n)) & 1 ? letter : '-')),
    )
    .flat()
    .join('');
}

function groupName(files: Files, id: number): string {
  const lines = (files.text('/etc/group') ?? '').split('\n').map((line) => line.split(':'));
  return lines.find(([, , number]) => number === String(id))?.[0] ?? String(id);
}

// Only the kernel knows: beside the permissions there are device cgroups, and namespaces.
function whyNotOpen(path: string): string | undefined {
  try {
    closeSync(openSync(path, 'r+'));
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

export function findMemoryLock(files: Files): MemoryLockFacts {
  const limits = files.text('/proc/self/limits') ?? '';
  const [, soft = 'unlimited', hard = 'unlimited'] =
    /^Max locked memory\s+(\S+)\s+(\S+)/m.exec(limits) ?? [];
  const status = files.text('/proc/self/status') ?? '';
  const effective = BigInt(`0x${/^CapEff:\s*(\w+)/m.exec(status)?.[1] ?? '0'}`);
  // The kernel asks whether the capability holds in the first user namespace.
  const map = (files.text('/proc/self/uid_map') ?? '').split(/\s+/).join(' ');
  const isFirst = map === '' || map === '0 0 4294967295';
  const exempt = isFirst && ((effective >> BigInt(CAP_IPC_LOCK)) & 1n) === 1n;
  const bytes = (text: string): number => (text === 'unlimited' ? Infinity : Number(text));
  return { soft: bytes(soft), hard: bytes(hard), exempt };
}

/** Whether devices belong to one network namespace each, rather than being seen in all. */
export function hasExclusiveNamespaces(files: Files): boolean {
  return files.text('/sys/module/ib_core/parameters/netns_mode') === 'N';
}

/** Adapters that could do RDMA, and have no RDMA device. */
export function findAdapters(files: Files): AdapterFacts[] {
  const folder = '/sys/bus/pci/devices';
  return files.list(folder).flatMap((address) => {
    const driver = files.linkName(`${folder}/${address}/driver`);
    const hasDevice = files.list(`${folder}/${address}/infiniband`).length > 0;
    const module = driver === undefined ? undefined : RDMA_MODULES[driver];
    return hasDevice || module === undefined ? [] : [{ address, driver, module }];
  });
}
