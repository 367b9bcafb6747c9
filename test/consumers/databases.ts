/** The servers of databases: Debian's, started for the time of the tests in folders of their own. */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { executeOrFail } from '../lab/execute';
import type { DatabaseName } from './consumers';

/** Packages with the servers. */
export const databasePackages: readonly string[] = [
  'mariadb-server-core',
  'postgresql',
  'redis-server',
];

/** Port of each server, or why it is not there. */
export type Databases = ReadonlyMap<DatabaseName, { readonly port: number } | string>;

interface Server {
  readonly command: readonly string[];
  /** What it writes when it takes connections. */
  readonly ready: RegExp;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function redis(folder: string, port: number): Server {
  const args = ['--bind', '127.0.0.1', '--port', String(port), '--dir', folder, '--save', ''];
  return { command: ['redis-server', ...args], ready: /Ready to accept connections/ };
}

function mariadb(folder: string, port: number): Server {
  // Without grant tables and InnoDB, an empty folder is all it needs.
  const options = [
    ...['--no-defaults', '--skip-grant-tables', '--skip-innodb', '--bind-address=127.0.0.1'],
    ...['--default-storage-engine=MyISAM', `--datadir=${folder}`, `--port=${port}`],
    ...[`--socket=${path.join(folder, 'socket')}`, `--aria-log-dir-path=${folder}`],
    ...(process.getuid?.() === 0 ? ['--user=root'] : []),
  ];
  return { command: ['/usr/sbin/mariadbd', ...options], ready: /ready for connections/ };
}

async function postgresql(folder: string, port: number): Promise<Server> {
  const versions = '/usr/lib/postgresql';
  const version = existsSync(versions) ? readdirSync(versions).sort().at(-1) : undefined;
  if (version === undefined) throw new Error('PostgreSQL is not installed');
  const programs = path.join(versions, version, 'bin');
  // It refuses to be run by root.
  const isRoot = process.getuid?.() === 0;
  const user = isRoot ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups'] : [];
  if (isRoot) {
    const ids = ['-u', '-g'].map((flag) => executeOrFail('id', [flag, 'postgres']));
    const [userId, groupId] = await Promise.all(ids);
    chownSync(folder, Number(userId), Number(groupId));
  }
  const data = path.join(folder, 'data');
  const options = ['--no-sync', '--auth=trust', '--username=postgres', '--no-locale'];
  const [command, ...args] = [...user, path.join(programs, 'initdb'), '-D', data, ...options];
  await executeOrFail(command ?? '', args);
  const listen = ['-h', '127.0.0.1', '-p', String(port), '-k', folder, '-c', 'fsync=off'];
  return {
    command: [...user, path.join(programs, 'postgres'), '-D', data, ...listen],
    ready: /ready to accept connections/,
  };
}

const kinds: Record<DatabaseName, (folder: string, port: number) => Server | Promise<Server>> = {
  redis,
  postgresql,
  mariadb,
};

/** Resolves when the server takes connections. */
async function started({ command, ready }: Server): Promise<ChildProcess> {
  const [program = '', ...args] = command;
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  await new Promise<void>((resolve, reject) => {
    const fail = (): void => reject(new Error(`${program} did not start: ${output.slice(-400)}`));
    child.once('error', fail).once('exit', fail);
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        output += chunk.toString();
        if (ready.test(output)) resolve();
      });
    }
  });
  return child;
}

/** All that can be started, until `stop`. */
export class DatabaseServers {
  readonly found = new Map<DatabaseName, { port: number } | string>();
  readonly #children: ChildProcess[] = [];
  readonly #folders: string[] = [];

  /** @param names those that are wanted */
  async start(names = Object.keys(kinds) as readonly DatabaseName[]): Promise<Databases> {
    for (const name of names) {
      try {
        const folder = mkdtempSync(path.join(tmpdir(), `rdma-net-${name}-`));
        this.#folders.push(folder);
        const port = await freePort();
        this.#children.push(await started(await kinds[name](folder, port)));
        this.found.set(name, { port });
      } catch (error) {
        this.found.set(name, `no ${name}: ${(error as Error).message}`);
      }
    }
    return this.found;
  }

  async stop(): Promise<void> {
    for (const child of this.#children) {
      // PostgreSQL's fast shutdown; the same as SIGTERM for the others.
      child.kill(child.spawnargs.includes('-k') ? 'SIGINT' : 'SIGTERM');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    }
    for (const folder of this.#folders) rmSync(folder, { recursive: true, force: true });
  }
}
