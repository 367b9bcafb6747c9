import { type Installation } from './setup';

export type Accelerator = 'kvm' | 'tcg';

/** How one guest is joined to the other of a pair: datagrams between two sockets of the host. */
export interface Link {
  readonly localPath: string;
  readonly remotePath: string;
}

/** Everything that decides how one guest is made. */
export interface Machine {
  /** 1 or 2: decides its name (h1), its addresses (10.77.0.1, fd77::1) and its MAC. */
  readonly number: number;
  readonly cpus: number;
  readonly memoryMebibytes: number;
  readonly accelerator: Accelerator;
  /** Absent: the guest is alone and has its RDMA device on a veth pair. */
  readonly link?: Link;
}

/** The child's file descriptors, all sockets, which QEMU gets ready-made. */
export const channels = { control: 3, stdout: 4, stderr: 5, console: 6 } as const;

/**
 * All that QEMU can emulate but fast `rep movsb`: that is emulated byte by byte, and the kernel and the
 * C library would copy with it wherever they are told that it is fast. Copies take a fifth without.
 */
const EMULATED_CPU = 'max,erms=off,fsrm=off';

/** QEMU's arguments for a guest whose channels are the inherited descriptors named above. */
export function qemuArguments(machine: Machine, installation: Installation): readonly string[] {
  const { accelerator, cpus } = machine;
  const accel = accelerator === 'kvm' ? 'kvm' : `tcg,thread=${cpus > 1 ? 'multi' : 'single'}`;
  return [
    ...['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none'],
    ...['-machine', 'q35', '-accel', accel],
    ...['-cpu', accelerator === 'kvm' ? 'host' : EMULATED_CPU],
    ...['-smp', String(cpus), '-m', String(machine.memoryMebibytes)],
    ...['-kernel', installation.kernel.image, '-initrd', installation.initramfs],
    ...['-append', kernelCommandLine(machine)],
    ...sharedFolder('host', '/'),
    ...sharedFolder('modules', installation.kernel.modules),
    ...ports(),
    ...network(machine),
  ];
}

function kernelCommandLine(machine: Machine): string {
  const link = machine.link === undefined ? 'veth0' : 'eth0';
  return [
    'console=ttyS0 quiet panic=-1',
    // A guest that lives for seconds has nothing to defend, and emulating the defence is slow.
    'mitigations=off nokaslr audit=0 apparmor=0 cryptomgr.notests init_on_alloc=0',
    // Emulated clocks fail the kernel's comparisons on a busy host.
    'no_timer_check tsc=reliable',
    `lab.number=${machine.number} lab.link=${link}`,
  ].join(' ');
}

function sharedFolder(tag: string, path: string): readonly string[] {
  const escaped = path.replaceAll(',', ',,');
  return [
    '-fsdev',
    `local,id=${tag},path=${escaped},security_model=none,readonly=on,multidevs=remap`,
    '-device',
    `virtio-9p-pci,fsdev=${tag},mount_tag=${tag}`,
  ];
}

function ports(): readonly string[] {
  const serial = (['control', 'stdout', 'stderr'] as const).flatMap((name, index) => [
    ...['-chardev', `socket,id=${name},fd=${channels[name]}`],
    ...['-device', `virtserialport,chardev=${name},nr=${index + 1}`],
  ]);
  return [
    ...['-chardev', `socket,id=console,fd=${channels.console}`, '-serial', 'chardev:console'],
    ...['-device', 'virtio-serial-pci', ...serial],
  ];
}

function network({ number, link }: Machine): readonly string[] {
  if (link === undefined) return [];
  return [
    '-netdev',
    'dgram,id=pair' +
      `,local.type=unix,local.path=${link.localPath}` +
      `,remote.type=unix,remote.path=${link.remotePath}`,
    '-device',
    `virtio-net-pci,netdev=pair,mac=52:54:00:77:00:0${number},romfile=`,
  ];
}
