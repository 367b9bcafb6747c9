/** Finds the endpoints of programs: those of this user, for root those of all users. */

import { readFileSync, readdirSync, statSync, unlinkSync } from 'node:fs';
import path from 'node:path';
import {
  folderInRuntime,
  isFolderInTmp,
  namespaceOf,
  ownerOfPrivate,
  parseFileName,
  type EndpointName,
} from '../../monitor/folder';

/** An endpoint that may have a program behind it. */
export interface Endpoint {
  readonly file: string;
  readonly name: EndpointName;
  /** The process id as this process sees it; if it cannot be seen, as the program does. */
  readonly pid: number;
  /** Whether there is such a process; undefined where that cannot be seen. */
  readonly isRunning: boolean | undefined;
  /** Whose it is. */
  readonly user: number;
}

/** After how many milliseconds a file is a leftover to which nobody listens. */
const OPENING_MS_MAX = 10_000;

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

interface Process {
  readonly pid: number;
  readonly pidNamespace: string;
  readonly mountNamespace: string;
}

function processes(): Process[] {
  const pids = list('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map((name) => {
    const pid = Number(name);
    const [pidNamespace, mountNamespace] = [namespaceOf(pid, 'pid'), namespaceOf(pid, 'mnt')];
    return { pid, pidNamespace, mountNamespace };
  });
}

/** The id that a process has in its own namespace. */
function innerPid(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/status`, 'latin1');
    return Number(/^NSpid:.*?(\d+)$/m.exec(text)?.[1] ?? pid);
  } catch {
    return pid;
  }
}

/** What processes are called here, by namespace and the id there. */
class ProcessIds {
  readonly #here = namespaceOf('self', 'pid');
  readonly #byInner = new Map<string, number>();

  constructor(all: readonly Process[]) {
    for (const { pid, pidNamespace } of all) {
      const inner = pidNamespace === this.#here ? pid : innerPid(pid);
      this.#byInner.set(`${pidNamespace}/${inner}`, pid);
    }
  }

  find({ pid, pidNamespace }: EndpointName): { pid: number; isRunning: boolean | undefined } {
    const found = this.#byInner.get(`${pidNamespace}/${pid}`);
    if (found !== undefined) return { pid: found, isRunning: true };
    // Those of a namespace beside this one cannot be seen, nor who has changed its user.
    if (pidNamespace !== this.#here || process.geteuid?.() !== 0) {
      return { pid, isRunning: list(`/proc/${pid}`).length === 0 ? undefined : true };
    }
    return { pid, isRunning: false };
  }
}

/** The roots of all file systems that can be seen: containers and services have others. */
function roots(all: readonly Process[]): string[] {
  const own = namespaceOf('self', 'mnt');
  const others = new Map<string, string>();
  for (const { pid, mountNamespace } of all) {
    if (mountNamespace !== own) others.set(mountNamespace, `/proc/${pid}/root`);
  }
  others.delete('0');
  return ['', ...others.values()];
}

function foldersUnder(root: string): string[] {
  const inTmp = list(`${root}/tmp`).filter(isFolderInTmp);
  return [
    ...list(`${root}/run/user`).map((name) => folderInRuntime(`${root}/run/user/${name}`)),
    ...inTmp.map((name) => `${root}/tmp/${name}`),
  ];
}

/** Folders that this user may trust, each once. */
function folders(all: readonly Process[]): { folder: string; user: number }[] {
  const runtime = process.env['XDG_RUNTIME_DIR'];
  const own = process.geteuid?.() ?? -1;
  const candidates = roots(all).flatMap(foldersUnder);
  if (runtime !== undefined && runtime !== '') candidates.unshift(folderInRuntime(runtime));
  const found = new Map<string, { folder: string; user: number }>();
  for (const folder of candidates) {
    const user = ownerOfPrivate(folder);
    if (user === undefined || (user !== own && own !== 0)) continue;
    const { dev, ino } = statSync(folder);
    const key = `${dev}/${ino}`;
    if (!found.has(key)) found.set(key, { folder, user });
  }
  return [...found.values()];
}

/** All endpoints that this user may ask. */
export function findEndpoints(): Endpoint[] {
  const all = processes();
  const ids = new ProcessIds(all);
  return folders(all).flatMap(({ folder, user }) =>
    list(folder).flatMap((entry) => {
      const name = parseFileName(entry);
      if (name === undefined) return [];
      return [{ file: path.join(folder, entry), name, user, ...ids.find(name) }];
    }),
  );
}

/**
 * Removes what a program has left that was killed. Only where this user's own programs are: in the
 * folder of somebody else, that could be led to remove something else.
 */
export function removeLeftover({ file, user, isRunning }: Endpoint): void {
  if (user !== process.geteuid?.()) return;
  try {
    // A program that is just opening its endpoint has the file before it listens.
    const isOld = Date.now() - statSync(file).mtimeMs > OPENING_MS_MAX;
    if (isOld || isRunning === false) unlinkSync(file);
  } catch {
    // Somebody else has removed it.
  }
}
