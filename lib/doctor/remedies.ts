/** Advice that depends on where a program runs: its distribution, and its container. */

import { asRoot } from './check';
import type { SystemFacts } from './facts';

/** What the distributions call what rdma-net needs of rdma-core. */
const INSTALL: Readonly<Record<string, Record<'libraries' | 'providers', string>>> = {
  debian: {
    libraries: 'apt-get install librdmacm1 libibverbs1 ibverbs-providers',
    providers: 'apt-get install --reinstall ibverbs-providers',
  },
  fedora: {
    libraries: 'dnf install librdmacm libibverbs',
    providers: 'dnf reinstall libibverbs',
  },
  suse: {
    libraries: 'zypper install librdmacm1 libibverbs1 libibverbs',
    providers: 'zypper install --force libibverbs',
  },
  arch: { libraries: 'pacman -S rdma-core', providers: 'pacman -S rdma-core' },
};
const FAMILIES: Readonly<Record<string, string>> = {
  ubuntu: 'debian',
  rhel: 'fedora',
  centos: 'fedora',
  amzn: 'fedora',
  opensuse: 'suse',
  sles: 'suse',
};

/** The command that installs a part of rdma-core. */
export function installCommand(system: SystemFacts, what: 'libraries' | 'providers'): string {
  for (const name of system.distribution) {
    const commands = INSTALL[FAMILIES[name] ?? name];
    if (commands === undefined) continue;
    const where = system.container === undefined ? '' : ', in the image of the container';
    return `${asRoot(system, commands[what])}${where}`;
  }
  return 'install librdmacm, libibverbs and its providers, which are parts of rdma-core';
}

/** A module now, and after the next boot. */
export function loadModule(system: SystemFacts, name: string): string[] {
  if (system.container !== undefined) return [`on the host of the container: modprobe ${name}`];
  const file = '/etc/modules-load.d/rdma-net.conf';
  return [
    asRoot(system, `modprobe ${name}`),
    `to have it after each boot: echo ${name} | ${asRoot(system, `tee -a ${file}`)}`,
  ];
}

/** More memory to lock. */
export function raiseMemoryLock(system: SystemFacts, shellMay: boolean): string[] {
  switch (system.container) {
    case 'docker':
    case 'podman':
      return [`${system.container} run --ulimit memlock=-1:-1 ...`];
    case 'kubernetes':
      return [
        'in the unit of the container runtime of each node: [Service] LimitMEMLOCK=infinity',
        'or add the capability to the container: securityContext.capabilities.add: [IPC_LOCK]',
      ];
    case 'lxc':
    case 'other':
      return ['raise the limit of locked memory (RLIMIT_MEMLOCK) where the container is started'];
    case undefined:
      break;
  }
  const user = system.userId === 0 ? 'root' : system.userName;
  const lines = `${user} - memlock unlimited`;
  const file = '/etc/security/limits.d/90-rdma.conf';
  return [
    ...(shellMay ? ['in the shell that starts the program: ulimit -l unlimited'] : []),
    `for logins from now on: echo '${lines}' | ${asRoot(system, `tee ${file}`)}`,
    'for a service of systemd, in its unit: [Service] LimitMEMLOCK=infinity',
  ];
}

/** The files of /dev/infiniband in a container. */
export function giveDevices(system: SystemFacts): string {
  switch (system.container) {
    case 'docker':
    case 'podman':
      return `${system.container} run --device /dev/infiniband ...`;
    case 'kubernetes':
      return 'request the resource of an RDMA device plug-in, as rdma/hca, in the limits of the pod';
    case 'lxc':
    case 'other':
    case undefined:
      return 'let the container have /dev/infiniband';
  }
}
