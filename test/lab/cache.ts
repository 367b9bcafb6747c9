import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

import { LabUnavailable } from './execute';

/** A path below the lab's cache folder, which lies outside the checkout. Nothing is created. */
export function cachePath(...parts: readonly string[]): string {
  const base = process.env['XDG_CACHE_HOME'];
  return join(base ? base : join(homedir(), '.cache'), 'rdma-net', 'lab', ...parts);
}

/** Reads a JSON file of the cache; undefined when it is missing or not JSON. */
export function readCached(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

/** Writes a JSON file of the cache so that a reader sees all of it or none. */
export function writeCached(path: string, value: unknown): void {
  mkdirSync(dirname(path), { recursive: true });
  const partial = `${path}.${process.pid}`;
  writeFileSync(partial, `${JSON.stringify(value, null, 2)}\n`);
  renameSync(partial, path);
}

/**
 * Does `work` while no other process on this machine does the same with this cache. The lock is a
 * child's flock: it ends with this process however that ends, and can never be left behind.
 *
 * @throws LabUnavailable when the lock cannot be taken; whatever `work` throws.
 */
export async function withCacheLock<T>(work: () => Promise<T>): Promise<T> {
  mkdirSync(cachePath(), { recursive: true });
  const holder = spawn('flock', [cachePath('lock'), 'sh', '-c', 'echo locked; exec cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const closed = new Promise<void>((resolve) => holder.on('close', () => resolve()));
  try {
    await new Promise<void>((resolve, reject) => {
      const fail = () => reject(new LabUnavailable(`cannot lock ${cachePath('lock')} with flock`));
      holder.stdout.once('data', () => resolve());
      holder.once('error', fail);
      holder.once('close', fail);
    });
    return await work();
  } finally {
    holder.stdin.on('error', () => undefined);
    holder.stdin.end();
    if (holder.pid !== undefined) await closed;
  }
}
