/**
 * `npm run bench -- readme [FILE...]`: puts the tables made of the results that are kept, or of those of
 * them that are named, between their markers in the README and in docs/benchmarks.md.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root } from '../support/children';
import { keptTables, readmeTable, replaceTable } from './readme-table';
import { readResults } from './result-file';
import { UsageError } from '../../lib/commands/command';
import { program, type CommandLine } from '../../test/command-line/program';

const kept = path.join(root, 'benchmarks', 'results');

const commandLine = {
  summary: 'tables in pages, made of the results that are kept in benchmarks/results',
  about: 'With FILE only the tables of these; without, all.',
  operands: '[FILE...]',
  options: {},
} as const satisfies CommandLine;

export const benchReadme = program(commandLine, ({ positionals }) => {
  const named = positionals.map((file) => path.resolve(file));
  const all = keptTables.map((each) => ({ ...each, file: path.join(kept, each.file) }));
  const unknown = named.find((file) => !all.some((each) => each.file === file));
  if (unknown !== undefined) {
    const names = keptTables.map(({ file }) => file).join(', ');
    throw new UsageError(
      `readme wants files that are kept in ${kept}, out of ${names}; not ${unknown}`,
    );
  }
  for (const { file, page, part } of all) {
    if (named.length > 0 && !named.includes(file)) continue;
    const table = readmeTable(readResults(file));
    const where = path.join(root, page);
    writeFileSync(where, replaceTable(readFileSync(where, 'utf8'), part, table));
    console.log(`${page}:\n\n${table}\n`);
  }
});
