/**
 * `npm run bench -- report FILE... [--out report.html]`: a page with plots of files of results, one file
 * with everything inline.
 */
import { writeFileSync } from 'node:fs';
import { reportPage } from './report-page';
import { readResults } from './result-file';
import { UsageError } from '../../lib/commands/command';
import { program, type CommandLine } from '../../test/command-line/program';

const commandLine = {
  summary: 'a page with plots of files of results',
  operands: 'FILE...',
  options: {
    out: {
      type: 'string',
      default: 'report.html',
      takes: 'FILE',
      about: 'where to write the page',
    },
  },
} as const satisfies CommandLine;

export const benchReport = program(commandLine, ({ values, positionals }) => {
  if (positionals.length === 0) throw new UsageError('report wants files of results');
  writeFileSync(values.out, reportPage(positionals.map(readResults)));
  console.log(values.out);
});
