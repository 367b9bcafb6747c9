import { existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { cachePath, readCached, writeCached } from './cache';
import { execute, executeOrFail, LabUnavailable } from './execute';
import { downloadPackage, firstDependency } from './packages';

/** A guest kernel in the cache. */
export interface Kernel {
  /** As `uname -r` says it in the guest. */
  readonly release: string;
  /** The folder of everything about this kernel. */
  readonly folder: string;
  /** What QEMU boots. */
  readonly image: string;
  /** The folder that the guest sees as /lib/modules/RELEASE. */
  readonly modules: string;
}

/** The package that depends on the kernel to boot, unless another is asked for. */
export const defaultKernelPackage = 'linux-image-amd64';

/** No guest has such hardware, and these are three quarters of the package. */
const unusedModules = ['sound', 'drivers/gpu', 'drivers/media', 'drivers/staging', 'drivers/iio'];

/** Written last, so that it says what is complete. */
interface Stamp {
  readonly layout: number;
  readonly release: string;
}

/** To be raised when the folder is arranged differently: what is cached is then fetched anew. */
const layout = 1;

/** The kernel that an earlier setup put into the cache for this package, or undefined. */
export function cachedKernel(metapackage: string): Kernel | undefined {
  const stamp = readCached(stampPath(metapackage)) as Partial<Stamp> | undefined;
  if (stamp?.layout !== layout || stamp.release === undefined) return undefined;
  const kernel = describe(stamp.release);
  return existsSync(kernel.image) && existsSync(kernel.modules) ? kernel : undefined;
}

/**
 * Puts Debian's stock kernel into the cache without installing it. To be called under the cache's
 * lock. What stops half-way leaves nothing that counts.
 *
 * @throws LabUnavailable when it cannot be downloaded or unpacked.
 */
export async function fetchKernel(
  metapackage: string,
  report: (line: string) => void,
): Promise<Kernel> {
  const name = await firstDependency(metapackage, report);
  const work = mkdtempSync(cachePath('unpack-'));
  try {
    await downloadPackage(name, work, report);
    const archive = readdirSync(work).find((file) => file.endsWith('.deb'));
    if (archive === undefined) throw new LabUnavailable(`apt-get download left no ${name}`);
    report(`unpacking ${archive}`);
    await executeOrFail('dpkg', ['-x', join(work, archive), join(work, 'tree')]);
    const release = await arrange(join(work, 'tree'), join(work, 'kernel'));
    const kernel = describe(release);
    mkdirSync(cachePath('kernel'), { recursive: true });
    rmSync(kernel.folder, { recursive: true, force: true });
    renameSync(join(work, 'kernel'), kernel.folder);
    writeCached(stampPath(metapackage), { layout, release } satisfies Stamp);
    return kernel;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function stampPath(metapackage: string): string {
  const suffix = metapackage === defaultKernelPackage ? '' : `-${metapackage}`;
  return cachePath(`kernel${suffix}.json`);
}

function describe(release: string): Kernel {
  const folder = cachePath('kernel', release);
  return {
    release,
    folder,
    image: join(folder, 'image'),
    modules: join(folder, 'lib/modules', release),
  };
}

/** From the package's tree to the cache's: the image, and the modules with their index. */
async function arrange(tree: string, folder: string): Promise<string> {
  const candidates = ['lib/modules', 'usr/lib/modules'].map((path) => join(tree, path));
  const modules = candidates.find((path) => existsSync(path));
  const release = modules === undefined ? undefined : readdirSync(modules)[0];
  if (modules === undefined || release === undefined) {
    throw new LabUnavailable('the kernel package has no modules');
  }
  for (const path of unusedModules) {
    rmSync(join(modules, release, 'kernel', path), { recursive: true, force: true });
  }
  mkdirSync(join(folder, 'lib'), { recursive: true });
  renameSync(modules, join(folder, 'lib/modules'));
  symlinkSync('.', join(folder, 'usr')); // newer kmod looks below usr/lib
  await executeOrFail('depmod', ['-b', folder, release]);
  const packed = readFileSync(join(tree, 'boot', `vmlinuz-${release}`));
  writeFileSync(join(folder, 'image'), (await uncompressed(packed, folder)) ?? packed);
  return release;
}

/**
 * The ELF kernel inside a bzImage, or undefined where it is packed in a way not known here. QEMU
 * enters it directly (PVH), which spares an emulated guest several seconds of decompression.
 * Offsets are those of the x86 boot protocol (Documentation/arch/x86/boot.rst).
 */
async function uncompressed(image: Buffer, folder: string): Promise<Buffer | undefined> {
  const setupSectors = image.readUInt8(0x1f1);
  const start = (setupSectors + 1) * 512 + image.readUInt32LE(0x248);
  // The last 4 bytes of the payload are the unpacked size, not part of the compressed stream.
  const payload = image.subarray(start, start + image.readUInt32LE(0x24c) - 4);
  const magic = payload.readUInt32BE(0);
  const tool = magic === 0xfd377a58 ? 'xz' : magic === 0x28b52ffd ? 'zstd' : undefined;
  if (tool === undefined) return undefined;
  const packed = join(folder, 'payload');
  const unpacked = join(folder, 'vmlinux');
  writeFileSync(packed, payload);
  try {
    await execute('sh', ['-c', '"$0" -dc <"$1" >"$2"', tool, packed, unpacked]);
    const kernel = readFileSync(unpacked);
    return kernel.subarray(0, 4).toString('latin1') === '\x7fELF' ? kernel : undefined;
  } finally {
    rmSync(packed, { force: true });
    rmSync(unpacked, { force: true });
  }
}
