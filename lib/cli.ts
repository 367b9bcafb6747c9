#!/usr/bin/env node
/** The command `rdma-net`. */

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { constants as osConstants } from 'node:os';
import path from 'node:path';
import { ConfigurationError } from './errors';
import { doctor } from './doctor';

const HELP = `Usage: rdma-net COMMAND

Commands:
  run [NODE OPTIONS] APP [ARGS]   run a Node program with rdma-net for all of its sockets
  doctor                          tell what can be used here, and what is missing

Options:
  -h, --help      show this text
  -v, --version   show the version of rdma-net

Environment of the program:
  RDMA_NET=prefer|require|off     shared memory (same host) and RDMA where they can be had
                                  (default), or nothing else, or not at all
  RDMA_NET_TRANSPORTS=local,rdma  which of them may be used
  RDMA_NET_RULES='RULE; RULE'     what holds for certain peers, ports and programs instead
  RDMA_NET_CONFIG=FILE            a file with more rules, one a line
  RDMA_NET_HEAD_START_MS=50       how long they are tried alone before TCP is tried beside them
  RDMA_NET_PEER_MEMORY_MS=60000   how long a peer without RDMA is remembered
  NODE_DEBUG=rdma-net             tell on stderr what is done, and why
`;

/** Exit status for a command line that is wrong. */
const USAGE_ERROR = 2;

const FORWARDED: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2', 'SIGQUIT'];

/** Adds `--require` of a file to what NODE_OPTIONS holds; children inherit it. */
export function withPreload(nodeOptions: string | undefined, file: string): string {
  const quoted = `"${file.replace(/["\\]/g, '\\$&')}"`;
  const before = nodeOptions ?? '';
  return `${before}${before === '' ? '' : ' '}--require ${quoted}`;
}

/** Runs a program, and ends as it ends. */
function run(args: readonly string[]): void {
  const preload = path.join(__dirname, 'preload.js');
  const child = spawn(process.execPath, args, {
    stdio: 'inherit',
    env: { ...process.env, NODE_OPTIONS: withPreload(process.env['NODE_OPTIONS'], preload) },
  });
  const forward = (signal: NodeJS.Signals): void => {
    child.kill(signal);
  };
  for (const signal of FORWARDED) process.on(signal, forward);
  child.on('error', (error) => {
    console.error(`rdma-net: ${error.message}`);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    for (const forwarded of FORWARDED) process.removeListener(forwarded, forward);
    if (signal === null) {
      process.exitCode = code ?? 1;
      return;
    }
    // Ends by the same signal, so that shells and supervisors see what they would have seen.
    process.exitCode = 128 + osConstants.signals[signal];
    process.kill(process.pid, signal);
  });
}

function version(): string {
  const file = path.join(__dirname, '..', '..', 'package.json');
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

function usageError(message: string): void {
  console.error(`rdma-net: ${message}\n\n${HELP}`);
  process.exitCode = USAGE_ERROR;
}

async function diagnose(): Promise<void> {
  try {
    const { lines, usable } = await doctor();
    console.log(lines.join('\n'));
    process.exitCode = usable ? 0 : 1;
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    console.error(`rdma-net: ${error.message}`);
    process.exitCode = USAGE_ERROR;
  }
}

function main(args: readonly string[]): void {
  const [command, ...rest] = args;
  if (command === undefined) usageError('a command is missing');
  else if (command === '-h' || command === '--help' || command === 'help') console.log(HELP);
  else if (command === '-v' || command === '--version') console.log(version());
  else if (command === 'run') {
    if (rest.length === 0) usageError('run needs a program');
    else run(rest);
  } else if (command === 'doctor') {
    void diagnose();
  } else usageError(`there is no command ${JSON.stringify(command)}`);
}

if (require.main === module) main(process.argv.slice(2));
