/** Runs `rdma-net doctor` in the guest, and the commands that make and heal what it has to find. */
import path from 'node:path';
import type { Fault } from './faults';
import { root, run } from './program';

/** How doctor ended, and what it wrote. */
export interface Examination {
  code: number | null;
  output: string;
}

/** Runs doctor, as far as a fault says how. */
export async function examine(
  { wrapper = [], flags = [], environment = {} }: Partial<Fault>,
  ...args: string[]
): Promise<Examination> {
  const cli = path.join(root, 'dist', 'lib', 'cli.js');
  const settings = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  // What the test runner has every child load would write where another user may not.
  const unset = ['-u', 'NODE_OPTIONS', '-u', 'RDMA_NET_TRANSPORTS'];
  const command = [
    'env',
    ...unset,
    ...settings,
    process.execPath,
    ...flags,
    cli,
    'doctor',
    ...args,
  ];
  const [first = '', ...rest] = [...wrapper, ...command];
  return run(first, rest);
}

/** Runs lines of a shell. Resolves with what went wrong, '' if nothing. */
export async function shell(lines: readonly string[]): Promise<string> {
  for (const line of lines) {
    const { code, output } = await run('sh', ['-c', line]);
    if (code !== 0) return `${line}: status ${code} ${output}`;
  }
  return '';
}
