/** A diagnosis for people. */

import type { Painter, Tone } from '../commands/terminal';
import type { Check, State } from './check';
import type { Diagnosis, Verdict } from './diagnosis';

const WORDS: Readonly<Record<State, [word: string, tone: Tone]>> = {
  ok: ['ok', 'good'],
  warning: ['warn', 'warning'],
  problem: ['FAIL', 'bad'],
  'not-applicable': ['-', 'faint'],
};
const WORD_WIDTH = 6;
const ID_WIDTH = 18;
const INDENT = ' '.repeat(WORD_WIDTH + ID_WIDTH);

/** What of a diagnosis is no problem and no warning is left out. */
export function onlyProblems({ sections, verdict }: Diagnosis): Diagnosis {
  const left = sections.map(({ title, checks }) => ({
    title,
    checks: checks.filter(({ state }) => state === 'problem' || state === 'warning'),
  }));
  return { sections: left.filter(({ checks }) => checks.length > 0), verdict };
}

/** Lines, without their ends; commands are never broken. */
export function printDiagnosis(
  { sections, verdict }: Diagnosis,
  width: number,
  paint: Painter,
): string[] {
  const lines: string[] = [];
  for (const { title, checks } of sections) {
    lines.push(paint('strong', title));
    for (const check of checks) lines.push(...printCheck(check, width, paint));
    lines.push('');
  }
  lines.push(...wrap(verdict.text, width), summary(verdict, paint));
  return lines;
}

function printCheck(
  { id, state, text, fix, reason }: Check,
  width: number,
  paint: Painter,
): string[] {
  const [word, tone] = WORDS[state];
  const [first = '', ...rest] = wrap(text, width - INDENT.length);
  const shade = state === 'not-applicable' ? (line: string) => paint('faint', line) : String;
  const head = paint(tone, word.padEnd(WORD_WIDTH)) + id.padEnd(ID_WIDTH);
  return [
    head + shade(first),
    ...rest.map((line) => INDENT + shade(line)),
    ...(fix ?? []).map((line) => `${INDENT}${paint('strong', 'Fix:')} ${line}`),
    ...(reason === undefined ? [] : [INDENT + paint('faint', `Reason code: ${reason}`)]),
  ];
}

function summary({ problems, warnings }: Verdict, paint: Painter): string {
  const count = (number: number, word: string): string =>
    `${number} ${word}${number === 1 ? '' : 's'}`;
  if (problems > 0)
    return paint('bad', `${count(problems, 'problem')}, ${count(warnings, 'warning')}`);
  if (warnings > 0) return paint('warning', `No problems, ${count(warnings, 'warning')}`);
  return paint('good', 'No problems');
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
