/** `rdma-net run`: runs a program with the preload. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants as osConstants } from 'node:os';
import path from 'node:path';
import { UsageError, type Command } from './command';

const FORWARDED: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2', 'SIGQUIT'];

const PRELOAD = path.join(__dirname, '..', 'preload.js');

/** Adds `--require` of a file to what NODE_OPTIONS holds; children inherit it. */
export function withPreload(nodeOptions: string | undefined, file: string): string {
  const quoted = `"${file.replace(/["\\]/g, '\\$&')}"`;
  const before = nodeOptions ?? '';
  return `${before}${before === '' ? '' : ' '}--require ${quoted}`;
}

/** Runs a program, and ends as it ends. */
async function runProgram(args: readonly string[]): Promise<number> {
  if (args.length === 0) throw new UsageError('run needs a program');
  const child = spawn(process.execPath, args, {
    stdio: 'inherit',
    env: { ...process.env, NODE_OPTIONS: withPreload(process.env['NODE_OPTIONS'], PRELOAD) },
  });
  const forward = (signal: NodeJS.Signals): void => {
    child.kill(signal);
  };
  for (const signal of FORWARDED) process.on(signal, forward);
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  for (const forwarded of FORWARDED) process.removeListener(forwarded, forward);
  if (signal === null) return code ?? 1;
  // Ends by the same signal, so that shells and supervisors see what they would have seen.
  process.kill(process.pid, signal);
  return 128 + osConstants.signals[signal];
}

export const run: Command = {
  help: `Usage: rdma-net run [NODE OPTIONS] APP [ARGS]

Runs a Node program, and all Node programs that it starts, with rdma-net for all of their sockets,
and ends as it ends.`,
  run: runProgram,
};
