/**
 * `npm run bench -- [NAME] [OPTIONS]`: measures, or makes something of what was measured. The options
 * are in the file of each, and `--help` shows them. The exit status is 2 for a wrong command line.
 */
import { benchMatrix } from './matrix/bench';
import { benchCompare } from './report/compare-bench';
import { benchConnect } from './connect/bench';
import { benchHosts } from './hosts/bench';
import { benchHttp } from './http/bench';
import { benchLab } from './transfer/bench';
import { benchLocal } from './local/bench';
import { benchOverhead } from './overhead/bench';
import { benchReadme } from './report/readme-bench';
import { benchReport } from './report/report-bench';
import { UsageError } from '../lib/commands/command';
import type { Benchmark } from './support/command-line';

const benchmarks: ReadonlyMap<string, Benchmark> = new Map([
  ['matrix', benchMatrix],
  ['report', benchReport],
  ['compare', benchCompare],
  ['readme', benchReadme],
  ['local', benchLocal],
  ['http', benchHttp],
  ['lab', benchLab],
  ['hosts', benchHosts],
  ['connect', benchConnect],
  ['overhead', benchOverhead],
]);

function overview(): string {
  const lines = [...benchmarks].map(([name, { summary }]) => `  ${name.padEnd(10)}${summary}`);
  return `Usage: npm run bench -- [NAME] [OPTIONS]

NAME is one of these, and if there is none, matrix:
${lines.join('\n')}

npm run bench -- NAME --help tells the options of each.`;
}

async function main([first = '', ...rest]: string[]): Promise<void> {
  const isHelp = (word: string): boolean => word === '--help' || word === '-h';
  if (isHelp(first) || first === 'help') {
    console.log(`${overview()}\n\n${benchMatrix.help('[matrix]')}`);
    return;
  }
  const isUnnamed = first === '' || first.startsWith('-');
  const name = isUnnamed ? 'matrix' : first;
  const args = isUnnamed && first !== '' ? [first, ...rest] : rest;
  const bench = benchmarks.get(name);
  if (bench === undefined) {
    const names = [...benchmarks.keys()].join(', ');
    throw new UsageError(`there is no benchmark ${JSON.stringify(name)}; there are ${names}`);
  }
  if (args.some(isHelp)) console.log(bench.help(name));
  else await bench.run(args);
}

main(process.argv.slice(2)).catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = error instanceof UsageError ? 2 : 1;
});
