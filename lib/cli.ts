#!/usr/bin/env node
/** The command `rdma-net`. */

import { ExitStatus, UsageError, type Command } from './commands/command';
import { ConfigurationError } from './errors';
import { packageVersion } from './version';

interface Entry {
  /** What follows the name, in the list of commands. */
  synopsis: string;
  /** What it does, in a few words. */
  summary: string;
  /** Loads it: a command pays for no other. */
  load: () => Promise<Command>;
}

const COMMANDS: ReadonlyMap<string, Entry> = new Map<string, Entry>([
  [
    'run',
    {
      synopsis: 'APP [ARGS]',
      summary: 'run a program with rdma-net for all sockets of it and of its children',
      load: async () => (await import('./commands/run.js')).run,
    },
  ],
  [
    'explain',
    {
      synopsis: 'HOST:PORT',
      summary: 'tell over what a peer is reached and why, and try it',
      load: async () => (await import('./commands/explain.js')).explain,
    },
  ],
  [
    'bench',
    {
      synopsis: '[HOST[:PORT]]',
      summary: 'measure latency and throughput over tcp, local and rdma',
      load: async () => (await import('./commands/bench.js')).bench,
    },
  ],
  [
    'doctor',
    {
      synopsis: '[--problems] [--json]',
      summary: 'tell what can be used here, what is missing, and how to get it',
      load: async () => (await import('./commands/doctor.js')).doctor,
    },
  ],
  [
    'status',
    {
      synopsis: '[PID] [OPTIONS]',
      summary: 'show what the sockets of running programs do',
      load: async () => (await import('./commands/status.js')).status,
    },
  ],
]);

const ENVIRONMENT = `Environment of the program:
  RDMA_NET=prefer|require|off     shared memory (same host) and RDMA where they can be had
                                  (default), or nothing else, or not at all
  RDMA_NET_TRANSPORTS=local,rdma  which of them may be used
  RDMA_NET_RULES='RULE; RULE'     what holds for certain peers, ports and programs instead
  RDMA_NET_CONFIG=FILE            a file with more rules, one a line
  RDMA_NET_HEAD_START_MS=50       how long they are tried alone before TCP is tried beside them
  RDMA_NET_PEER_MEMORY_MS=60000   how long a peer without RDMA is remembered
  RDMA_NET_PINNED_BYTES_MAX=N     how much memory may be registered
  RDMA_NET_QUEUE_PAIRS_MAX=N      how many connections there may be
  RDMA_NET_SPIN_US=0              how long to look for news before sleeping, in microseconds
  RDMA_NET_STATUS=off             'rdma-net status' is not to see the program
  NODE_DEBUG=rdma-net             tell on stderr what is done, and why`;

function overview(): string {
  const heads = [...COMMANDS].map(([name, { synopsis, summary }]) => ({
    head: `${name} ${synopsis}`.trim(),
    summary,
  }));
  const width = Math.max(...heads.map(({ head }) => head.length)) + 2;
  return `Usage: rdma-net COMMAND

Commands:
${heads.map(({ head, summary }) => `  ${head.padEnd(width)}${summary}`).join('\n')}
  ${'help COMMAND'.padEnd(width)}tell more about one of them

Options:
  -h, --help      show this text, or that of the command before it
  -v, --version   show the version of rdma-net

${ENVIRONMENT}`;
}

function entryOf(name: string): Entry {
  const entry = COMMANDS.get(name);
  if (entry !== undefined) return entry;
  if (name.startsWith('-')) {
    throw new UsageError(`${name} is no option; expected --help, --version, or a command`);
  }
  const names = [...COMMANDS.keys()].join(', ');
  throw new UsageError(`there is no command ${JSON.stringify(name)}; expected one of ${names}`);
}

/** Those that are for the command; what follows the first is a program's for `run`. */
function ownWords(name: string, words: readonly string[]): readonly string[] {
  return name === 'run' ? words.slice(0, 1) : words;
}

async function execute(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined) throw new UsageError('a command is missing');
  if (name === '-v' || name === '--version') {
    console.log(packageVersion());
    return ExitStatus.Ok;
  }
  if (name === '-h' || name === '--help' || name === 'help') {
    console.log(rest[0] === undefined ? overview() : (await entryOf(rest[0]).load()).help);
    return ExitStatus.Ok;
  }
  const command = await entryOf(name).load();
  if (ownWords(name, rest).some((word) => word === '-h' || word === '--help')) {
    console.log(command.help);
    return ExitStatus.Ok;
  }
  return command.run(rest);
}

async function main(args: readonly string[]): Promise<void> {
  try {
    process.exitCode = await execute(args);
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof ConfigurationError)) throw error;
    console.error(`rdma-net: ${error.message}`);
    if (error instanceof UsageError) {
      const about = COMMANDS.has(args[0] ?? '') ? ` ${args[0] ?? ''}` : '';
      console.error(`Try: rdma-net help${about}`);
    }
    process.exitCode = ExitStatus.Usage;
  }
}

if (require.main === module) void main(process.argv.slice(2));
