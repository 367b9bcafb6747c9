/** The command line of a command: options by node:util, and where something is. */

import { isIPv6 } from 'node:net';
import { parseArgs, type ParseArgsConfig } from 'node:util';
import { UsageError } from './command';

/**
 * Parses options and positional arguments.
 * @throws {UsageError} for options that are unknown, or lack their value
 */
export function parseOptions<T extends ParseArgsConfig>(
  config: T,
): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs(config);
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    if (!code.startsWith('ERR_PARSE_ARGS_')) throw error;
    // What follows the first sentence is about how to escape, and does not hold here.
    throw new UsageError(message.replace(/\. .*$/s, ''));
  }
}

/** A host, and a port if one was given. */
export interface Target {
  /** A name, or an address without brackets. */
  readonly host: string;
  readonly port: number | undefined;
}

function hintFor(text: string, port: number | undefined): string {
  if ((port ?? 0) > 65_535) return ' (ports end at 65535)';
  if (!isIPv6(text)) return '';
  const [, host, last = 'PORT'] = /^(.*[^:]|.*::):(\d+)$/.exec(text) ?? [];
  return ` (IPv6 in brackets: [${host !== undefined && isIPv6(host) ? `${host}]:${last}` : `${text}]:PORT`})`;
}

/**
 * Parses `HOST`, `HOST:PORT`, `[IPV6]` and `[IPV6]:PORT`.
 * @throws {UsageError}
 */
export function parseTarget(text: string): Target {
  const match = /^(?:\[([^\]]*)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/.exec(text);
  const [, bracketed, plain = '', digits] = match ?? [];
  const isAddress = bracketed === undefined || isIPv6(bracketed);
  const port = digits === undefined ? undefined : Number(digits);
  if (match === null || !isAddress || (port ?? 0) > 65_535) {
    throw new UsageError(
      `${JSON.stringify(text)} is no host and port${hintFor(text, port)}; expected HOST:PORT, such as ` +
        'db.internal:5432, 192.0.2.10:80 or [2001:db8::1]:80',
    );
  }
  return { host: bracketed ?? plain, port };
}

/** How a host and port are shown: IPv6 in brackets. */
export function showTarget(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * A number of an option.
 * @throws {UsageError} when it is none, or out of range
 */
export function parseNumber(
  name: string,
  text: string,
  [least, most]: readonly [number, number],
): number {
  const number = text.trim() === '' ? NaN : Number(text);
  if (number >= least && number <= most) return number;
  throw new UsageError(
    `--${name} is ${JSON.stringify(text)}; expected a number from ${least} to ${most}`,
  );
}
