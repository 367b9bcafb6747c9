import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';

/** The checkout, from dist/benchmarks. */
export const root = path.join(__dirname, '..', '..');

/** Runs Node with the preload on a script of the checkout. */
export function nodeWithPreload(
  script: string,
  args: string[],
  env: Record<string, string>,
): ChildProcess {
  const preload = path.join(root, 'dist', 'lib', 'preload.js');
  return spawn(process.execPath, ['--require', preload, path.join(root, script), ...args], {
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
