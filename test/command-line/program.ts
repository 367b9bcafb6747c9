/** The command lines of the project's own programs, and the help that is made of them. */

import type { parseArgs } from 'node:util';
import { UsageError } from '../../lib/commands/command';
import { parseOptions } from '../../lib/commands/options';

/** As parseArgs has it, and what the help says. */
export interface Option {
  readonly type: 'string' | 'boolean';
  /** Whether it can be given more than once. */
  readonly multiple?: boolean;
  readonly default?: string | boolean;
  /** What stands for the value of a string. */
  readonly takes?: string;
  readonly about: string;
}

/** What can follow the name of a program. */
export interface CommandLine {
  /** What follows the options, if anything may, as `FILE...`. */
  readonly operands?: string;
  /** What it does, in a line. */
  readonly summary: string;
  /** More of that, in lines, if there is more. */
  readonly about?: string;
  readonly options: Readonly<Record<string, Option>>;
}

interface Config<T extends CommandLine> {
  args: string[];
  allowPositionals: true;
  options: T['options'];
}

/** What parseArgs makes of one. */
export type Parsed<T extends CommandLine> = ReturnType<typeof parseArgs<Config<T>>>;

export interface Program {
  readonly summary: string;
  /** @param words how it is started, as `npm run matrix --` */
  help(words: string): string;
  /** @throws {UsageError} */
  run(args: string[]): Promise<void>;
}

function optionLines(options: CommandLine['options']): string[] {
  const rows = Object.entries(options).map(([name, { takes, about, default: standard }]) => {
    const head = `  --${name}${takes === undefined ? '' : ` ${takes}`}`;
    const tail = typeof standard === 'string' && standard !== '' ? `; default ${standard}` : '';
    return [head, `${about}${tail}`] as const;
  });
  const width = Math.max(...rows.map(([head]) => head.length));
  return rows.map(([head, about]) => `${head.padEnd(width)}  ${about}`);
}

function helpOf({ operands, summary, about, options }: CommandLine, start: string): string {
  const hasOptions = Object.keys(options).length > 0;
  const words = [start, hasOptions ? '[OPTIONS]' : '', operands ?? ''];
  return [
    `Usage: ${words.filter((word) => word !== '').join(' ')}`,
    '',
    `${summary.slice(0, 1).toUpperCase()}${summary.slice(1)}.`,
    ...(about === undefined ? [] : [about]),
    ...(hasOptions ? ['', 'Options:', ...optionLines(options)] : []),
  ].join('\n');
}

function parse<T extends CommandLine>({ options, operands }: T, args: string[]): Parsed<T> {
  let given: Parsed<T>;
  try {
    given = parseOptions<Config<T>>({ args, allowPositionals: true, options });
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const names = Object.keys(options).map((name) => `--${name}`);
    const known = names.length === 0 ? 'there are no options' : `there are ${names.join(', ')}`;
    throw new UsageError(`${error.message}; ${known}`);
  }
  const [extra] = operands === undefined ? given.positionals : [];
  if (extra === undefined) return given;
  throw new UsageError(`${JSON.stringify(extra)} is one argument too many`);
}

/** @param run what it does with what was given */
export function program<const T extends CommandLine>(
  commandLine: T,
  run: (given: Parsed<T>) => Promise<void> | void,
): Program {
  return {
    summary: commandLine.summary,
    help: (words) => helpOf(commandLine, words),
    run: async (args) => run(parse(commandLine, args)),
  };
}

export function asksForHelp(word: string): boolean {
  return word === '--help' || word === '-h';
}

/**
 * Runs what a file is for. What goes wrong is told, and the exit status is 2 for a wrong command line,
 * else 1.
 */
export async function runMain(main: (args: string[]) => Promise<void>): Promise<void> {
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}

/** Runs a program whose file is started by `words`. */
export function runProgram(words: string, main: Program): Promise<void> {
  return runMain(async (args) => {
    if (args.some(asksForHelp)) console.log(main.help(words));
    else await main.run(args);
  });
}
