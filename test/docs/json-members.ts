/** What the page on operations says of the output of `--json`. */

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { projectRoot } from '../lab/project-root';

/** The members of what a command prints, those of the head left out, in their order. */
export function jsonMembers(command: string): string[] {
  const page = readFileSync(path.join(projectRoot(), 'docs', 'operations.md'), 'utf8');
  const row = page.split('\n').find((line) => line.startsWith(`| \`${command}\` `));
  const [, , members = ''] = row?.split('|') ?? [];
  return [...members.matchAll(/`(\w+)`/g)].map(([, name = '']) => name);
}
