/** Rules as `configure()` takes them: text, lines of text, objects. */

import { Mistake, parseHost, parsePorts } from './endpoint-pattern';
import { ConfigurationError } from './errors';
import { DIRECTIONS, parseRules, parseWords, type Word } from './rule-text';
import type { Rule, RuleObject } from './rule';

/** What the setting `rules` takes: text with any number of rules, or a list of rules. */
export type RulesInput = string | readonly (string | RuleObject)[];

const RULES_MAX = 1000;

type Values = Partial<Record<keyof RuleObject, unknown>>;

const KEYS: readonly string[] = [
  'program',
  'direction',
  'host',
  'port',
  'mode',
  'tls',
  'transports',
] satisfies (keyof RuleObject)[];

function show(value: unknown): string {
  return typeof value === 'string' || Array.isArray(value) ? JSON.stringify(value) : String(value);
}

function wrong(name: string, value: unknown, expected: string): ConfigurationError {
  return new ConfigurationError(`${name} is ${show(value)}; expected ${expected}`);
}

/** Calls a parser of text; what it says is about a field of an object then. */
function check(name: string, value: unknown, parse: (text: string) => unknown): string {
  if (typeof value !== 'string' && typeof value !== 'number') throw wrong(name, value, 'text');
  try {
    parse(String(value));
  } catch (error) {
    if (!(error instanceof Mistake)) throw error;
    throw wrong(name, value, error.expected);
  }
  return String(value);
}

function targetOf(name: string, { host = '*', port = '*' }: Values): string {
  const hostText = check(`${name}.host`, host, (text) => parseHost(text));
  const portText = check(`${name}.port`, port, (text) => parsePorts(text));
  const isBare = hostText.includes(':') && !hostText.startsWith('[');
  return `${isBare ? hostText.replace(/^[^/]*/, '[$&]') : hostText}:${portText}`;
}

/** A word, and the field that it comes from. */
type Part = readonly [field: keyof RuleObject, text: string];

function partsOf(name: string, values: Values): Part[] {
  const { program, direction = '*', mode, tls = false, transports } = values;
  const parts: Part[] = [];
  if (program !== undefined) {
    if (typeof program !== 'string' || program === '') {
      throw wrong(`${name}.program`, program, 'the name of a script');
    }
    parts.push(['program', 'program'], ['program', program]);
  }
  if (typeof direction !== 'string' || !DIRECTIONS.includes(direction)) {
    throw wrong(`${name}.direction`, direction, '"connect", "listen" or "*"');
  }
  parts.push(['direction', direction], ['host', targetOf(name, values)]);
  if (mode !== undefined) {
    if (mode !== 'prefer' && mode !== 'require') {
      throw wrong(`${name}.mode`, mode, '"prefer" or "require"');
    }
    parts.push(['mode', mode]);
  }
  if (typeof tls !== 'boolean') throw wrong(`${name}.tls`, tls, 'true or false');
  if (tls) parts.push(['tls', 'tls']);
  const list: readonly unknown[] = Array.isArray(transports) ? transports : [transports];
  for (const [index, transport] of list.entries()) {
    if (typeof transport !== 'string') {
      throw wrong(`${name}.transports`, transports, 'a list of "local", "rdma" and "tcp"');
    }
    if (index > 0) parts.push(['transports', ',']);
    parts.push(['transports', transport]);
  }
  return parts;
}

function parseObject(name: string, object: object): Rule {
  for (const key of Object.keys(object)) {
    if (!KEYS.includes(key)) {
      const known = KEYS.join(', ');
      throw new ConfigurationError(`${name} has ${show(key)}; expected only ${known}`);
    }
  }
  const parts = partsOf(name, object);
  const words: Word[] = parts.map(([, text], offset) => ({ text, offset }));
  const text = words.map((word) => word.text).join(' ');
  try {
    const line = 1;
    const rule = parseWords(words, parts.length);
    return { text: text.replace(/ , /g, ','), source: name, line, ...rule };
  } catch (error) {
    if (!(error instanceof Mistake)) throw error;
    const field = parts[error.offset]?.[0] ?? 'transports';
    throw new ConfigurationError(`${name}.${field}: ${error.message}`);
  }
}

function parseOne(name: string, value: unknown): Rule[] {
  if (typeof value === 'string') return parseRules(name, value);
  if (typeof value === 'object' && value !== null) return [parseObject(name, value)];
  throw wrong(name, value, 'a rule: text or an object');
}

/**
 * Checks rules.
 * @param name what errors call the value
 * @throws {ConfigurationError} naming where it is wrong, what was found and what was expected
 */
export function checkRules(name: string, value: unknown): readonly Rule[] {
  if (typeof value !== 'string' && !Array.isArray(value)) {
    throw wrong(name, value, 'text with rules, or a list of rules');
  }
  const rules =
    typeof value === 'string'
      ? parseRules(name, value)
      : value.flatMap((one: unknown, index) => parseOne(`${name}[${index}]`, one));
  if (rules.length > RULES_MAX) {
    throw new ConfigurationError(
      `${name} has ${rules.length} rules; expected ${RULES_MAX} at most`,
    );
  }
  return rules;
}
