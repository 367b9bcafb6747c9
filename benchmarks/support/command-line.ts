/** The command line of a benchmark, and the help that is made of it. */

import type { parseArgs } from 'node:util';
import { UsageError } from '../../lib/commands/command';
import { parseOptions } from '../../lib/commands/options';

/** As parseArgs has it, and what the help says. */
export interface Option {
  readonly type: 'string' | 'boolean';
  readonly default?: string | boolean;
  /** What stands for the value of a string. */
  readonly takes?: string;
  readonly about: string;
}

/** What can follow the name of a benchmark. */
export interface CommandLine {
  /** What follows the options, if anything may, as `FILE...`. */
  readonly operands?: string;
  /** What it measures, in a line for the list of all. */
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

/** What bench.ts takes by its name. */
export interface Benchmark {
  readonly summary: string;
  help(name: string): string;
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

function helpOf({ operands, summary, about, options }: CommandLine, name: string): string {
  const hasOptions = Object.keys(options).length > 0;
  const words = ['npm run bench --', name, hasOptions ? '[OPTIONS]' : '', operands ?? ''];
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
export function benchmark<const T extends CommandLine>(
  commandLine: T,
  run: (given: Parsed<T>) => Promise<void> | void,
): Benchmark {
  return {
    summary: commandLine.summary,
    help: (name) => helpOf(commandLine, name),
    run: async (args) => run(parse(commandLine, args)),
  };
}
