/** What a prebuilt binary asks of the system that it is loaded on, and whether that is too much. */

import { executeOrFail } from '../lab/execute';
import { GLIBC_MAX, nameOf, type Target } from './targets';

export interface Requirements {
  /** The processor, in the words of readelf. */
  readonly machine: string;
  /** Libraries by name, as `libc.so.6`. */
  readonly libraries: readonly string[];
  /** Versions of symbols, as `GLIBC_2.28`. */
  readonly versions: readonly string[];
  /** The symbols that others can find in it. */
  readonly exported: readonly string[];
  /** Those that it looks for in others. */
  readonly imported: readonly string[];
}

const machines = { x64: 'Advanced Micro Devices X86-64', arm64: 'AArch64' };

/** libc and its parts; no C++ library, whose version would depend on the distribution. */
const libraries = {
  glibc: /^(libc\.so\.6|libm\.so\.6|libdl\.so\.2|libpthread\.so\.0|ld-linux-[\w-]+\.so\.\d)$/,
  musl: /^libc\.(so|musl-\w+\.so\.1)$/,
};

const EXPORTED = ['napi_register_module_v1', 'node_api_module_get_api_version_v1'];

function matches(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map((match) => match[1] ?? '');
}

/** Reads a binary with readelf, which knows those of other processors, too. */
export async function requirementsOf(file: string): Promise<Requirements> {
  const read = (option: string): Promise<string> =>
    executeOrFail('readelf', [option, '--wide', file], { env: { ...process.env, LC_ALL: 'C' } });
  const versions = matches(await read('--version-info'), /Name: (\S+)/g);
  // Number, value, size, type, binding, visibility, section, name.
  const symbols = await read('--dyn-syms');
  return {
    machine: /Machine:\s+(.+)/.exec(await read('--file-header'))?.[1] ?? '',
    libraries: matches(await read('--dynamic'), /\(NEEDED\).*\[(.+)\]/g),
    versions: [...new Set(versions)],
    exported: matches(symbols, / (?:GLOBAL|WEAK) +DEFAULT +\d+ ([\w.]+)$/gm).sort(),
    imported: matches(symbols, / GLOBAL +DEFAULT +UND ([\w.]+)/g),
  };
}

/** Compares versions of glibc, as `2.28`. */
function isNewer(version: string, than: string): boolean {
  return version.localeCompare(than, 'en', { numeric: true }) > 0;
}

/** The newest glibc that is asked for, as `2.28`. */
export function newestGlibc({ versions }: Requirements): string | undefined {
  const numbers = versions.flatMap((version) => /^GLIBC_([\d.]+)$/.exec(version)?.[1] ?? []);
  return numbers.reduce<string | undefined>(
    (newest, version) => (newest === undefined || isNewer(version, newest) ? version : newest),
    undefined,
  );
}

function isTooMuch(version: string, { libc }: Target): boolean {
  const glibc = /^GLIBC_([\d.]+)$/.exec(version)?.[1];
  return glibc === undefined || libc !== 'glibc' || isNewer(glibc, GLIBC_MAX);
}

/** What is wrong with a binary for a target, in sentences; nothing if it may be published. */
export function problemsOf(requirements: Requirements, target: Target): string[] {
  const name = nameOf(target);
  const problems: string[] = [];
  if (requirements.machine !== machines[target.arch]) {
    problems.push(`${name} is for another processor: ${requirements.machine}`);
  }
  for (const library of requirements.libraries) {
    if (!libraries[target.libc].test(library)) problems.push(`${name} needs ${library}`);
  }
  for (const version of requirements.versions) {
    if (isTooMuch(version, target)) problems.push(`${name} needs ${version}`);
  }
  const unexpected = requirements.exported.filter((symbol) => !EXPORTED.includes(symbol));
  if (unexpected.length > 0) problems.push(`${name} exports ${unexpected.join(', ')}`);
  for (const symbol of EXPORTED) {
    if (!requirements.exported.includes(symbol)) problems.push(`${name} lacks ${symbol}`);
  }
  return problems;
}
