/**
 * Rules as text, one a line or with `;` between them:
 *
 *     rule       [ 'program' NAME ] direction HOST[':'PORTS] { 'require' | 'prefer' | 'tls' } transports
 *     direction  'connect' | 'listen' | '*'
 *     transports one or more of 'local', 'rdma' and, as the last, 'tcp', with ',' between them
 *
 * From '#' to the end of a line is a comment.
 */

import { Mistake, parseEndpoint } from './endpoint-pattern';
import { ConfigurationError } from './errors';
import type { FabricTransportName } from './mode';
import { programPattern } from './program-pattern';
import type { Rule, RuleDirection } from './rule';

/** A word of a rule. */
export interface Word {
  readonly text: string;
  /** Where it stands: from 0, in its line. */
  readonly offset: number;
}

/** What rules can be about. */
export const DIRECTIONS: readonly string[] = ['connect', 'listen', '*'] satisfies RuleDirection[];

/** The words of one rule, taken one after the other. */
class Words {
  readonly #words: Word[];
  readonly #end: number;

  constructor(words: readonly Word[], end: number) {
    this.#words = [...words];
    this.#end = end;
  }

  /** Whether the next word is this one, which is taken then. */
  skip(text: string): boolean {
    if (this.#words[0]?.text !== text) return false;
    this.#words.shift();
    return true;
  }

  /** @throws {Mistake} at the end, and when the next word is not wanted */
  take(expected: string, isWanted = (text: string) => text !== ','): Word {
    const word = this.#words.shift();
    if (word !== undefined && isWanted(word.text)) return word;
    throw new Mistake(word?.offset ?? this.#end, word?.text, expected);
  }

  /** @throws {Mistake} when there is another word */
  finish(expected: string): void {
    const [word] = this.#words;
    if (word !== undefined) throw new Mistake(word.offset, word.text, expected);
  }
}

type Target = Pick<Rule, 'host' | 'ports'>;

function takeTarget(words: Words, direction: RuleDirection): Target {
  const { text, offset } = words.take('a host and ports, such as 10.0.0.0/8:*');
  let target: Target;
  try {
    target = parseEndpoint(text);
  } catch (error) {
    if (!(error instanceof Mistake)) throw error;
    throw new Mistake(offset + error.offset, error.found, error.expected);
  }
  if (!target.host.isName || direction === 'connect') return target;
  throw new Mistake(
    offset,
    text,
    'an address, a network, "localhost" or "*": only rules for connect can be about names',
  );
}

interface Conditions {
  mode: Rule['mode'];
  tls: boolean;
}

function takeConditions(words: Words): Conditions {
  const taken: Conditions = { mode: undefined, tls: false };
  for (;;) {
    if (taken.mode === undefined && words.skip('require')) taken.mode = 'require';
    else if (taken.mode === undefined && words.skip('prefer')) taken.mode = 'prefer';
    else if (!taken.tls && words.skip('tls')) taken.tls = true;
    else return taken;
  }
}

function takeTransports(
  words: Words,
  { mode, tls }: Conditions,
): Pick<Rule, 'mode' | 'transports'> {
  const transports: FabricTransportName[] = [];
  let left = mode === 'require' ? ['local', 'rdma'] : ['local', 'rdma', 'tcp'];
  const conditions = [
    ...(mode === undefined ? ['require', 'prefer'] : []),
    ...(tls ? [] : ['tls']),
  ];
  for (;;) {
    const isFirst = transports.length === 0;
    // Conditions on TCP alone would mean nothing.
    const wanted = isFirst && (mode !== undefined || tls) ? ['local', 'rdma'] : left;
    const expected = oneOf(isFirst ? [...conditions, ...wanted] : wanted);
    const { text } = words.take(expected, (name) => wanted.includes(name));
    left = left.filter((name) => name !== text);
    if (text === 'tcp') {
      words.finish('the end of the rule: "tcp" is the last');
      return { mode: 'prefer', transports };
    }
    transports.push(text as FabricTransportName);
    if (left.length > 0 && words.skip(',')) continue;
    words.finish(left.length > 0 ? '"," or the end of the rule' : 'the end of the rule');
    return { mode, transports };
  }
}

function oneOf(words: readonly string[]): string {
  const quoted = words.map((word) => `"${word}"`);
  const last = quoted.pop() ?? '';
  return quoted.length === 0 ? last : `${quoted.join(', ')} or ${last}`;
}

/**
 * Makes a rule of its words.
 * @param end the offset of what is missing, if something is
 * @throws {Mistake} with the offset of a word, or one into it
 */
export function parseWords(
  list: readonly Word[],
  end: number,
): Omit<Rule, 'text' | 'source' | 'line'> {
  const words = new Words(list, end);
  const isLimited = words.skip('program');
  const program = isLimited ? words.take('the name of a script').text : '*';
  const expected = oneOf([...DIRECTIONS, ...(isLimited ? [] : ['program'])]);
  const { text } = words.take(expected, (word) => DIRECTIONS.includes(word));
  const direction = text as RuleDirection;
  const target = takeTarget(words, direction);
  const conditions = takeConditions(words);
  return {
    isOfProgram: program === '*' ? () => true : programPattern(program),
    direction,
    ...target,
    tls: conditions.tls,
    ...takeTransports(words, conditions),
  };
}

function parseStatement(code: string, start: number, line: number, source: string): Rule[] {
  const semicolon = code.indexOf(';', start);
  const end = semicolon < 0 ? code.length : semicolon;
  const words = [...code.slice(start, end).matchAll(/,|[^\s,]+/g)].map(({ 0: text, index }) => {
    return { text, offset: start + index };
  });
  const [first] = words;
  const last = words.at(-1);
  if (first === undefined || last === undefined) return [];
  const textEnd = last.offset + last.text.length;
  const text = code.slice(first.offset, textEnd);
  try {
    return [{ text, source, line, ...parseWords(words, textEnd) }];
  } catch (error) {
    if (!(error instanceof Mistake)) throw error;
    const place = `${source}, line ${line}, column ${error.offset + 1}`;
    throw new ConfigurationError(`${place}: ${error.message}`);
  }
}

function parseLine(line: string, lineNumber: number, source: string): Rule[] {
  const comment = line.indexOf('#');
  const code = comment < 0 ? line : line.slice(0, comment);
  const rules: Rule[] = [];
  let start = 0;
  for (const { length } of code.split(';')) {
    rules.push(...parseStatement(code, start, lineNumber, source));
    start += length + 1;
  }
  return rules;
}

/**
 * Parses rules.
 * @param source what errors call the text
 * @throws {ConfigurationError} naming line and column, what was found and what was expected
 */
export function parseRules(source: string, text: string): Rule[] {
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\n|\r/);
  return lines.flatMap((line, index) => parseLine(line, index + 1, source));
}
