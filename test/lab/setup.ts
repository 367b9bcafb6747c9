import { existsSync, readdirSync, rmSync } from 'node:fs';

import { cachePath, withCacheLock } from './cache';
import { LabUnavailable } from './execute';
import { buildInitramfs, initramfsPath } from './initramfs';
import { cachedKernel, defaultKernelPackage, fetchKernel, type Kernel } from './kernel';
import { ensurePackages, headerPackages, labPackages, missingPackages } from './packages';

/** What a guest boots from. */
export interface Installation {
  readonly kernel: Kernel;
  readonly initramfs: string;
}

/** Told, one line each, what takes long. */
export type Report = (line: string) => void;

/**
 * Fetches and caches whatever the lab needs; does nothing, quickly, when it is all there. Safe to
 * be called by many processes at once.
 *
 * @param kernelPackage - the metapackage whose kernel is to be booted.
 * @throws LabUnavailable with the reason, and the remedy where there is one.
 */
export async function setUp(
  report: Report,
  kernelPackage = defaultKernelPackage,
): Promise<Installation> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new LabUnavailable(
      `the lab runs on Linux on x86_64 only (this is ${process.platform} on ${process.arch})`,
    );
  }
  const ready = await installed(kernelPackage);
  if (ready !== undefined) return ready;
  return withCacheLock(async () => {
    await ensurePackages(labPackages, report);
    removeAbandoned();
    const kernel = cachedKernel(kernelPackage) ?? (await fetchKernel(kernelPackage, report));
    const initramfs = initramfsPath(kernel);
    if (!existsSync(initramfs)) {
      report(`building the initramfs for ${kernel.release}`);
      await buildInitramfs(kernel);
    }
    return { kernel, initramfs };
  });
}

/**
 * Makes sure that the headers for compiling the native binding are installed.
 *
 * @throws LabUnavailable with the reason and the remedy.
 */
export async function setUpHeaders(report: Report): Promise<void> {
  await ensurePackages(headerPackages, report);
}

async function installed(kernelPackage: string): Promise<Installation | undefined> {
  const kernel = cachedKernel(kernelPackage);
  if (kernel === undefined) return undefined;
  const initramfs = initramfsPath(kernel);
  if (!existsSync(initramfs)) return undefined;
  const missing = await missingPackages(labPackages);
  return missing.length === 0 ? { kernel, initramfs } : undefined;
}

/** Whoever holds the lock is alone: work folders found now are of setups that were killed. */
function removeAbandoned(): void {
  for (const name of readdirSync(cachePath())) {
    if (name.startsWith('unpack-')) rmSync(cachePath(name), { recursive: true, force: true });
  }
}
