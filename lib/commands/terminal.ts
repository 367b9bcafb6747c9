/** How the commands print: in colour on terminals only, and in columns. */

import type { WriteStream } from 'node:tty';
import { styleText } from 'node:util';

/** What a piece of text stands for; the colour follows from it. */
export type Tone = 'good' | 'warning' | 'bad' | 'faint' | 'strong';

const FORMATS = {
  good: 'green',
  warning: 'yellow',
  bad: 'red',
  faint: 'dim',
  strong: 'bold',
} as const satisfies Record<Tone, Parameters<typeof styleText>[0]>;

/** Colours text for one stream, or leaves it alone. */
export type Painter = (tone: Tone, text: string) => string;

/** Of a stream: colours if it is a terminal that has them. NO_COLOR and FORCE_COLOR are followed. */
export function painterFor(stream: NodeJS.WriteStream): Painter {
  // As Node understands it.
  const isForced = /^(|1|2|3|true)$/.test(process.env['FORCE_COLOR'] ?? '0');
  const terminal: Partial<WriteStream> = stream;
  const isColoured = isForced || (terminal.isTTY === true && terminal.hasColors?.() === true);
  return (tone, text) => (isColoured ? styleText(FORMATS[tone], text) : text);
}

/** Puts cells under one another, two blanks apart; no row ends in blanks. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
    });
  }
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
