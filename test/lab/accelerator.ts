import { accessSync, constants, readFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { PassThrough } from 'node:stream';

import { cachePath, readCached, writeCached } from './cache';
import { Guest } from './guest';
import { type Accelerator } from './qemu';
import { type Installation, type Report } from './setup';

const probeMillisecondsMax = 20_000;

interface Verdict {
  readonly machine: string;
  readonly accelerator: Accelerator;
}

/**
 * KVM where it really works, else TCG (emulation). /dev/kvm can exist and still hang every guest,
 * so one guest is booted through it first; the verdict is kept until kernel or CPU change.
 */
export async function chooseAccelerator(
  installation: Installation,
  report: Report,
): Promise<Accelerator> {
  if (!hasVirtualisationFlags() || !canOpenKvm()) return 'tcg';
  const machine = [release(), cpus()[0]?.model, installation.kernel.release].join(' / ');
  const path = cachePath('accelerator.json');
  const verdict = readCached(path) as Partial<Verdict> | undefined;
  if (verdict?.machine === machine && verdict.accelerator !== undefined) return verdict.accelerator;
  report('trying a guest with KVM');
  const accelerator = (await bootsWithKvm(installation)) ? 'kvm' : 'tcg';
  writeCached(path, { machine, accelerator } satisfies Verdict);
  return accelerator;
}

async function bootsWithKvm(installation: Installation): Promise<boolean> {
  const machine = { number: 1, cpus: 1, memoryMebibytes: 512, accelerator: 'kvm' } as const;
  const nowhere = new PassThrough().resume();
  const guest = new Guest(machine, installation, { stdout: nowhere, stderr: nowhere });
  const timer = setTimeout(() => guest.kill(), probeMillisecondsMax);
  try {
    await guest.ready;
    return (await guest.run('true')) === 0;
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
    await guest.stop();
  }
}

function hasVirtualisationFlags(): boolean {
  return /^flags\s*:.*\s(vmx|svm)(\s|$)/m.test(readFileSync('/proc/cpuinfo', 'utf8'));
}

function canOpenKvm(): boolean {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
