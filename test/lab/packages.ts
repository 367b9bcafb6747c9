import { execute, LabUnavailable } from './execute';

/** What the native binding is compiled against. */
export const headerPackages: readonly string[] = ['libibverbs-dev', 'librdmacm-dev'];

/** What the host needs to make and run guests, and what guests use through the host's files. */
export const labPackages: readonly string[] = [
  'busybox-static',
  'cpio',
  'curl',
  'ibverbs-providers',
  'ibverbs-utils',
  'iproute2',
  'iptables',
  'kmod',
  'nftables',
  'perftest',
  'qemu-system-x86',
  'rdma-core',
  'rdmacm-utils',
  'xz-utils',
  'zstd',
  ...headerPackages,
];

const isRoot = process.getuid?.() === 0;
const aptEnvironment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' };

/**
 * Makes sure that Debian packages are installed; touches apt only when one is missing.
 *
 * @param report - told, one line each, what takes long.
 * @throws LabUnavailable naming the missing packages and the command that installs them.
 */
export async function ensurePackages(
  packages: readonly string[],
  report: (line: string) => void,
): Promise<void> {
  const missing = await missingPackages(packages);
  if (missing.length === 0) return;
  const list = missing.join(' ');
  const remedy = `sudo apt-get update && sudo apt-get install --no-install-recommends ${list}`;
  if (!isRoot) {
    throw new LabUnavailable(`missing packages: ${list}\nnot root; install them with: ${remedy}`);
  }
  report(`installing ${list}`);
  const args = ['install', '-y', '--no-install-recommends', ...missing];
  await withFreshLists(report, () => aptGet(args), `missing packages: ${list}\ntry: ${remedy}`);
}

/**
 * Downloads a package's file into a folder without installing it.
 *
 * @throws LabUnavailable when apt does not know the package or cannot fetch it.
 */
export async function downloadPackage(
  name: string,
  folder: string,
  report: (line: string) => void,
): Promise<void> {
  report(`downloading ${name}`);
  await withFreshLists(report, () => aptGet(['download', name], folder), `cannot download ${name}`);
}

/**
 * The first package that `name` depends on: for a kernel's metapackage, the kernel itself.
 *
 * @throws LabUnavailable when apt does not know the package.
 */
export async function firstDependency(
  name: string,
  report: (line: string) => void,
): Promise<string> {
  return withFreshLists(
    report,
    async () => {
      const { stdout, stderr } = await execute('apt-cache', ['depends', '--important', name], {
        env: aptEnvironment,
      });
      const dependency = /^\s*Depends: ([^\s<]+)/m.exec(stdout)?.[1];
      return dependency === undefined
        ? { error: stderr.trim() || `apt knows no package ${name}` }
        : { value: dependency };
    },
    `no kernel package ${name}: the lab takes its guest kernel from Debian's`,
  );
}

/**
 * Those of the packages that are not installed.
 *
 * @throws LabUnavailable where packages are not Debian's.
 */
export async function missingPackages(packages: readonly string[]): Promise<readonly string[]> {
  const format = '${db:Status-Status} ${Package}\n';
  const { status, stdout } = await execute('dpkg-query', ['-W', '-f', format, ...packages]);
  if (status === 127) {
    throw new LabUnavailable('no dpkg: the lab installs what it needs on Debian and its kin only');
  }
  const lines = new Set(stdout.split('\n'));
  return packages.filter((name) => !lines.has(`installed ${name}`));
}

type Attempt<T> = { readonly value: T } | { readonly error: string };

/**
 * Package lists may be empty (a fresh image) or name files that are gone: what fails is tried once
 * more after an update of the lists, which only root may do.
 */
async function withFreshLists<T>(
  report: (line: string) => void,
  attempt: () => Promise<Attempt<T>>,
  problem: string,
): Promise<T> {
  let result = await attempt();
  if ('error' in result && isRoot) {
    report('updating the package lists');
    const update = await aptGet(['update']);
    result = 'error' in update ? update : await attempt();
  }
  if (!('error' in result)) return result.value;
  const advice = isRoot ? '' : '\nthe package lists may be out of date: sudo apt-get update';
  throw new LabUnavailable(`${problem}\n${result.error}${advice}`);
}

async function aptGet(args: readonly string[], cwd?: string): Promise<Attempt<undefined>> {
  // Without its own sandbox user, apt can write into a cache folder below root's home.
  const options = ['-q', '-o', 'DPkg::Lock::Timeout=300', '-o', 'APT::Sandbox::User=root'];
  const { status, stderr } = await execute('apt-get', [...options, ...args], {
    env: aptEnvironment,
    ...(cwd === undefined ? {} : { cwd }),
  });
  if (status === 0) return { value: undefined };
  return { error: stderr.trim().split('\n').slice(-8).join('\n') };
}
