/**
 * `npm run bench -- readme FILE [--into README.md]`: puts the table made of a file of results between
 * the markers of the README.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { root } from '../support/children';
import { readmeTable, replaceTable } from './readme-table';
import { readResults } from './result-file';

export function benchReadme(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { into: { type: 'string', default: path.join(root, 'README.md') } },
  });
  const [file, ...more] = positionals;
  if (file === undefined || more.length > 0) throw new Error('readme wants one file of results');
  const table = readmeTable(readResults(file));
  writeFileSync(values.into, replaceTable(readFileSync(values.into, 'utf8'), table));
  console.log(table);
  return Promise.resolve();
}
