/** `rdma-net run`: runs a program with the preload. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, closeSync, constants, openSync, readSync, statSync } from 'node:fs';
import { constants as osConstants } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { ExitStatus, UsageError, type Command } from './command';
import { isInForeground } from './foreground';

const FORWARDED: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2', 'SIGQUIT'];

/** Those that keys of a terminal send. */
const ofTerminal: ReadonlySet<string> = new Set(['SIGINT', 'SIGQUIT']);

const PRELOAD = path.join(__dirname, '..', 'preload.js');

const onWindows = process.platform === 'win32';

/** How files begin that a system runs by itself. */
const BINARIES: Partial<Record<NodeJS.Platform, RegExp>> = {
  darwin: /^([\xce\xcf]\xfa\xed\xfe|\xca\xfe\xba\xbe)/,
  win32: /^MZ/,
};
const BINARY = BINARIES[process.platform] ?? /^\x7fELF/;

/** What is to be run, and with what in its environment. */
export interface Run {
  readonly file: string;
  readonly args: readonly string[];
  /** Whether it is a script of the shell of Windows, which nothing else can run. */
  readonly inShell: boolean;
  readonly environment: Readonly<Record<string, string>>;
}

/** Adds `--require` of a file to what NODE_OPTIONS holds; children inherit it. */
export function withPreload(nodeOptions: string | undefined, file: string): string {
  const quoted = `"${file.replace(/["\\]/g, '\\$&')}"`;
  const before = nodeOptions ?? '';
  // As in a script of npm that says `rdma-net run` itself.
  if (before.includes(`--require ${quoted}`)) return before;
  return `${before}${before === '' ? '' : ' '}--require ${quoted}`;
}

interface OwnOptions {
  mode: 'prefer' | 'require' | undefined;
  rules: string | undefined;
  rest: readonly string[];
}

const OPTIONS = {
  require: { type: 'boolean' },
  prefer: { type: 'boolean' },
  rules: { type: 'string' },
} as const;

/** Takes our options off the front; the first word that is none of them ends them. */
function takeOptions(args: readonly string[]): OwnOptions {
  const taken: OwnOptions = { mode: undefined, rules: undefined, rest: [] };
  const { tokens } = parseArgs({
    args: [...args],
    options: OPTIONS,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  for (const token of tokens) {
    const isRules = token.kind === 'option' && token.rawName === '--rules';
    const isMode =
      token.kind === 'option' && /^--(require|prefer)$/.test(token.rawName) && !token.inlineValue;
    if (isRules) {
      if (token.value === undefined || token.value === '') {
        throw new UsageError('--rules needs the name of a file');
      }
      taken.rules = token.value;
    } else if (isMode) {
      const mode = token.name === 'require' ? 'require' : 'prefer';
      if (taken.mode !== undefined && taken.mode !== mode) {
        throw new UsageError('--require and --prefer exclude each other');
      }
      taken.mode = mode;
    } else {
      return { ...taken, rest: args.slice(token.index) };
    }
  }
  return taken;
}

function isFile(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isFile() === true;
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return isFile(file);
  } catch {
    return false;
  }
}

/** Whether a file says that something else than Node runs it: a script of a shell, a binary. */
function isForOthers(file: string): boolean {
  const start = Buffer.alloc(256);
  const descriptor = openSync(file, 'r');
  const bytes = readSync(descriptor, start);
  closeSync(descriptor);
  const [line = ''] = start.toString('latin1', 0, bytes).split('\n', 1);
  return BINARY.test(line) || (line.startsWith('#!') && !/\bnode\b/.test(line));
}

/** The names of files by which a command may be there. */
function namesOf(command: string): readonly string[] {
  if (!onWindows) return [command];
  // A file without one of these endings cannot be run there, as that of npm for other systems.
  const endings = (process.env['PATHEXT'] ?? '.COM;.EXE;.BAT;.CMD').toLowerCase().split(';');
  const isWhole = endings.includes(path.extname(command).toLowerCase());
  return isWhole ? [command] : endings.map((ending) => command + ending);
}

function findOnPath(name: string): string | undefined {
  if (name.includes('/') || (onWindows && name.includes('\\'))) return undefined;
  const folders = (process.env['PATH'] ?? '').split(path.delimiter);
  const names = namesOf(name);
  return folders.flatMap((folder) => names.map((one) => path.join(folder, one))).find(isProgram);
}

/** As the shell of Windows takes an argument as one. */
function quoteForShell(argument: string): string {
  return /^[\w.,:=@/\\+-]+$/.test(argument) ? argument : `"${argument.replace(/"/g, '""')}"`;
}

function isModule(name: string): boolean {
  try {
    require.resolve(path.resolve(name));
    return true;
  } catch {
    return false;
  }
}

/** The command and its arguments for what follows our options. */
function commandFor(rest: readonly string[]): [file: string, args: readonly string[]] {
  const node = process.execPath;
  if (rest[0]?.startsWith('-') === true && rest[0] !== '--') return [node, rest];
  const [app, ...args] = rest[0] === '--' ? rest.slice(1) : rest;
  if (app === undefined) throw new UsageError('run needs a program');
  if (isFile(app)) {
    return isProgram(app) && isForOthers(app) ? [path.resolve(app), args] : [node, [app, ...args]];
  }
  const found = findOnPath(app);
  if (found !== undefined) return [found, args];
  // As a folder with a package, or a script without its extension.
  if (isModule(app)) return [node, [app, ...args]];
  const text = JSON.stringify(app);
  throw new UsageError(`${text} is neither a file here nor a command on the PATH`);
}

type SettingsReader = typeof import('../mode');

/** What has a mistake keeps the program from starting: that is told here, and without a stack. */
function checkSettings(file: string | undefined, environment: NodeJS.ProcessEnv): void {
  const isDefault = !Object.keys(environment).some((name) => name.startsWith('RDMA_NET'));
  if (isDefault) return;
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- most set nothing
  const mode = require('../mode') as SettingsReader;
  if (file !== undefined) mode.readRuleFile('--rules', file);
  mode.readEnvironment(environment);
}

/**
 * Finds out what is meant.
 * @throws {UsageError}
 * @throws {ConfigurationError} when the file with rules has a mistake
 */
export function planRun(args: readonly string[]): Run {
  const { mode, rules, rest } = takeOptions(args);
  const [file, fileArgs] = commandFor(rest);
  const environment: Record<string, string> = {
    NODE_OPTIONS: withPreload(process.env['NODE_OPTIONS'], PRELOAD),
  };
  if (mode !== undefined) environment['RDMA_NET'] = mode;
  if (rules !== undefined) environment['RDMA_NET_CONFIG'] = path.resolve(rules);
  checkSettings(rules, { ...process.env, ...environment });
  return { file, args: fileArgs, inShell: onWindows && /\.(bat|cmd)$/i.test(file), environment };
}

/** Runs a program, and ends as it ends. */
async function runProgram(args: readonly string[]): Promise<number> {
  const { file, args: programArgs, inShell, environment } = planRun(args);
  const options = { stdio: 'inherit', env: { ...process.env, ...environment } } as const;
  const child = inShell
    ? spawn([file, ...programArgs].map(quoteForShell).join(' '), { ...options, shell: true })
    : spawn(file, programArgs, options);
  const forward = (signal: NodeJS.Signals): void => {
    // The console of Windows tells all its programs; `kill` would end this one without asking it.
    if (onWindows) return;
    // So does a terminal; some programs take a second Ctrl+C for impatience.
    if (ofTerminal.has(signal) && isInForeground()) return;
    child.kill(signal);
  };
  for (const signal of FORWARDED) process.on(signal, forward);
  let end: [number | null, NodeJS.Signals | null];
  try {
    end = (await once(child, 'exit')) as typeof end;
  } catch (error) {
    console.error(`rdma-net: ${file} cannot be run: ${(error as Error).message}`);
    return ExitStatus.Trouble;
  } finally {
    for (const forwarded of FORWARDED) process.removeListener(forwarded, forward);
  }
  const [code, signal] = end;
  if (signal === null) return code ?? 1;
  // Ends by the same signal, so that shells and supervisors see what they would have seen.
  process.kill(process.pid, signal);
  return 128 + osConstants.signals[signal];
}

export const run: Command = {
  help: `Usage: rdma-net run [--require | --prefer] [--rules FILE] [NODE OPTIONS] APP [ARGS]
       rdma-net run [--require | --prefer] [--rules FILE] [--] COMMAND [ARGS]

Runs a program with rdma-net for all sockets of it and of all Node programs that it starts, and ends
as it ends. What is run:
  a file         by Node; by itself if it may be executed and is a binary, or begins with #! and
                 something else than Node
  a command      found on the PATH, such as npm, npx or node: it gets NODE_OPTIONS with the preload
  NODE OPTIONS   before APP make it a program for Node in any case, as does -e SCRIPT

Options, before all others:
  --require      an error where it would be TCP: RDMA_NET=require
  --prefer       RDMA_NET=prefer
  --rules FILE   a file with rules, which is checked first: RDMA_NET_CONFIG=FILE
To have Node load a module, write -r MODULE or --require=MODULE.

Examples:
  rdma-net run server.js
  rdma-net run npm start
  rdma-net run --require --rules rules.conf -- npm test

Status: that of the program, or 1 when it cannot be started; 2 when the command line, the file with
rules or the environment is wrong.`,
  run: runProgram,
};
