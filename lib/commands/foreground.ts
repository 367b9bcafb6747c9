/** Whether this process is one of those to which the terminal sends its signals. */

import { readFileSync } from 'node:fs';

/**
 * Whether Ctrl+C on the terminal reaches this process, and all that it has started: it goes to the whole
 * process group in the foreground.
 */
export function isInForeground(): boolean {
  try {
    const text = readFileSync('/proc/self/stat', 'utf8');
    // After the name, which may hold anything: state, parent, group, session, terminal, its foreground.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields[2] === fields[5];
  } catch {
    return process.stdin.isTTY;
  }
}
