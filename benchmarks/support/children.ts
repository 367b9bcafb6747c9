import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';

/** The checkout, from dist/benchmarks/support. */
export const root = path.join(__dirname, '..', '..', '..');

/** Flags for node that load the package before the program. */
export const withPreload = ['--require', path.join(root, 'dist', 'lib', 'preload.js')];

/** A compiled script of benchmarks/, as `connect/server.js`. */
export function scriptFile(name: string): string {
  return path.join(root, 'dist', 'benchmarks', name);
}

/** Runs Node with the preload on a script of the checkout. */
export function nodeWithPreload(
  script: string,
  args: string[],
  env: Record<string, string>,
): ChildProcess {
  return spawn(process.execPath, [...withPreload, path.join(root, script), ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

/** The first line that a child prints; rejects when it ends without one. */
export async function firstLine(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error('the child has no standard output');
  const lines = createInterface(child.stdout);
  const line = await Promise.race([
    once(lines, 'line').then(([text]) => text as string),
    once(child, 'exit').then(([code]) => {
      throw new Error(`the child ended with status ${String(code)}`);
    }),
  ]);
  lines.close();
  return line;
}
