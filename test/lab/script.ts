import { relative } from 'node:path';

import { projectRoot } from './project-root';

/** What a guest runs, and with what around it. */
export interface Command {
  /** A program, or, without `args`, a line for `sh -c`. */
  readonly command: string;
  /** Handed to the program as they are. */
  readonly args?: readonly string[];
  /** A folder of the host, where the command starts; the lab's own working folder if absent. */
  readonly cwd?: string;
  /** Added to PATH, HOME, CI, TERM=dumb and RDMA_NET_TRANSPORTS=rdma. */
  readonly env?: Readonly<Record<string, string>>;
}

const inherited = ['HOME', 'CI', 'LANG', 'LC_ALL', 'TZ'];
/**
 * The programs of most tests are on one host, and would meet over shared memory: the lab is there
 * for RDMA.
 */
const transports = { RDMA_NET_TRANSPORTS: 'rdma' };
const administratorPath = '/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin';

/**
 * The shell script by which the guest's agent runs a command.
 *
 * @throws RangeError for an environment variable whose name no shell can export.
 */
export function commandScript({ command, args, cwd = process.cwd(), env = {} }: Command): string {
  const words = args === undefined ? ['/bin/sh', '-c', command] : [command, ...args];
  const exports = Object.entries(environment(env)).map(([name, value]) => {
    if (!/^[A-Za-z_]\w*$/.test(name)) throw new RangeError(`not a variable's name: ${name}`);
    return `export ${name}=${quote(value)}`;
  });
  return [
    ...exports,
    ...reveal(cwd),
    `cd ${quote(cwd)} || exit 125`,
    `exec ${words.map(quote).join(' ')}`,
    '',
  ].join('\n');
}

function environment(env: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const passed = inherited.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  const path = [process.env['PATH'], administratorPath, '/run/lab/bin'].filter(Boolean).join(':');
  return { ...Object.fromEntries(passed), PATH: path, TERM: 'dumb', ...transports, ...env };
}

/**
 * The guest has its own /tmp and /run. A checkout or working folder that lies there on the host is
 * shown again, from a view of the root file system without anything mounted above it.
 */
function reveal(cwd: string): readonly string[] {
  const root = projectRoot();
  const folder = relative(root, cwd).startsWith('..') ? cwd : root;
  if (!/^\/(tmp|run)\//.test(folder)) return [];
  return [
    'mkdir -p /run/lab/root && mount --bind / /run/lab/root',
    `mkdir -p ${quote(folder)} && mount --bind ${quote(`/run/lab/root${folder}`)} ${quote(folder)}`,
  ];
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
