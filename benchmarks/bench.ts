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
import { asksForHelp, runMain, type Program } from '../test/command-line/program';

const benchmarks: ReadonlyMap<string, Program> = new Map([
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

void runMain(async ([first = '', ...rest]) => {
  if (asksForHelp(first) || first === 'help') {
    console.log(`${overview()}\n\n${benchMatrix.help('npm run bench -- [matrix]')}`);
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
  if (args.some(asksForHelp)) console.log(bench.help(`npm run bench -- ${name}`));
  else await bench.run(args);
});
