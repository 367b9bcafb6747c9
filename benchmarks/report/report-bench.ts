/**
 * `npm run bench -- report FILE... [--out report.html]`: a page with plots of files of results, one file
 * with everything inline.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { reportPage } from './report-page';
import { readResults } from './result-file';

export function benchReport(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { out: { type: 'string', default: 'report.html' } },
  });
  if (positionals.length === 0) throw new Error('report wants files of results');
  writeFileSync(values.out, reportPage(positionals.map(readResults)));
  console.log(values.out);
  return Promise.resolve();
}
