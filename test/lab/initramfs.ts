import { createHash } from 'node:crypto';
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync } from 'node:fs';
import { readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

import { cachePath } from './cache';
import { executeOrFail } from './execute';
import { type Kernel } from './kernel';
import { projectRoot } from './project-root';

/** Loaded at boot; all else that a test wants is loaded on demand from the whole tree. */
const bootModules = [
  'virtio_pci',
  '9pnet_virtio',
  '9p',
  'overlay',
  'virtio_console',
  'virtio_net',
  'veth',
  'rdma_rxe',
  'rdma_ucm',
];

/** What the guest's scripts call. `ip` must stay out: the agent needs that of iproute2. */
const applets =
  'base64 cat cp dd env hostname insmod ln mkdir mkfifo mount mv poweroff printf rm sed setsid sh ' +
  'sleep switch_root tr uname';

const scripts = ['init', 'agent', 'lab-signal', 'lab-wait'];

/** Where the initramfs for this kernel and these guest scripts is, or will be when it is built. */
export function initramfsPath(kernel: Kernel): string {
  const hash = createHash('sha256').update(JSON.stringify([bootModules, applets, scripts]));
  for (const script of scripts) hash.update(readFileSync(scriptPath(script)));
  return join(kernel.folder, `initramfs-${hash.digest('hex').slice(0, 16)}.cpio`);
}

/**
 * Builds the initramfs: busybox, the modules needed to reach the host's files and the RDMA device,
 * and the guest's scripts. Left uncompressed, since an emulated guest unpacks slowly.
 *
 * @throws LabUnavailable when one of the host's tools fails.
 */
export async function buildInitramfs(kernel: Kernel): Promise<void> {
  const work = mkdtempSync(cachePath('unpack-'));
  try {
    const tree = join(work, 'tree');
    for (const folder of ['bin', 'modules', 'proc', 'sys', 'dev', 'host', 'scratch', 'root']) {
      mkdirSync(join(tree, folder), { recursive: true });
    }
    copyFileSync('/bin/busybox', join(tree, 'bin/busybox'));
    for (const applet of applets.split(' ')) symlinkSync('busybox', join(tree, 'bin', applet));
    for (const script of scripts) {
      copyFileSync(scriptPath(script), join(tree, script));
      chmodSync(join(tree, script), 0o755);
    }
    await copyModules(kernel, join(tree, 'modules'));
    await executeOrFail(
      'sh',
      ['-c', 'find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 >../initramfs'],
      { cwd: tree },
    );
    renameSync(join(work, 'initramfs'), initramfsPath(kernel));
    removeOld(kernel);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function scriptPath(script: string): string {
  return join(projectRoot(), 'test/lab/guest', script);
}

/** Copies the modules, unpacked, and their load order: each after those that it depends on. */
async function copyModules(kernel: Kernel, folder: string): Promise<void> {
  const args = ['-d', kernel.folder, '-S', kernel.release, '--show-depends', '-a', ...bootModules];
  const lines = (await executeOrFail('modprobe', args)).split('\n');
  const paths = new Set(lines.flatMap((line) => /^insmod (\S+)/.exec(line)?.[1] ?? []));
  const order: string[] = [];
  for (const path of paths) {
    const name = basename(path).replace(/\.(xz|zst|gz)$/, '');
    const tool = { '.xz': 'xz', '.zst': 'zstd', '.gz': 'gzip' }[/\.[^.]*$/.exec(path)?.[0] ?? ''];
    if (tool === undefined) copyFileSync(path, join(folder, name));
    else await executeOrFail('sh', ['-c', '"$0" -dc <"$1" >"$2"', tool, path, join(folder, name)]);
    order.push(name);
  }
  writeFileSync(join(folder, 'order'), `${order.join('\n')}\n`);
}

/** Other checkouts share the cache, so a few builds stay; the rest would only pile up. */
function removeOld(kernel: Kernel): void {
  const kept = initramfsPath(kernel);
  const builds = readdirSync(kernel.folder)
    .filter((file) => /^initramfs-.*\.cpio$/.test(file))
    .map((file) => join(kernel.folder, file))
    .filter((path) => path !== kept && existsSync(path));
  for (const path of builds.slice(8)) rmSync(path, { force: true });
}
