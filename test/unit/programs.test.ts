/** The programs by which the project is tried, beside the tests and the benchmarks. */

import { readFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { libFolder, runNode } from './support';

const built = path.join(libFolder, '..');
const page = readFileSync(path.join(built, '..', 'CONTRIBUTING.md'), 'utf8');

const programs = {
  'npm run matrix --': 'test/consumers/matrix.js',
  'node dist/test/node-suite/run.js': 'test/node-suite/run.js',
};

for (const [start, file] of Object.entries(programs)) {
  const run = (...args: string[]) => runNode([path.join(built, file), ...args]);

  t.test(`${start} tells its options, those of the page among them`, async (t) => {
    const { code, stdout } = await run('--help');
    t.equal(code, 0);
    const used = page.split('\n').filter((line) => line.startsWith(start));
    t.ok(used.length > 0);
    for (const [option] of used.join('\n').matchAll(/ --[a-z-]+(?= )/g)) {
      t.match(stdout, new RegExp(`^ ${option} `, 'm'));
    }
  });

  t.test(`${start} says what is wrong with its command line, with status 2`, async (t) => {
    const message = /^Unknown option '--nothing'; there are --\w[^\n]*\n$/;
    t.match(await run('--nothing'), { code: 2, stdout: '', stderr: message });
  });
}

t.test('what options hold is looked at before anything is done', async (t) => {
  const matrix = [path.join(built, programs['npm run matrix --'])];
  t.match(await runNode([...matrix, '--transports', 'tcp,smc']), {
    code: 2,
    stderr: '--transports has "smc"; expected some of tcp,local,rdma\n',
  });
  t.match(await runNode([...matrix, '--nodes', '20,new']), { code: 2, stderr: /"new"/ });
  const suite = [path.join(built, programs['node dist/test/node-suite/run.js'])];
  t.match(await runNode(suite), { code: 2, stderr: /^--tests is missing/ });
  const elsewhere = [...suite, '--tests', t.testdir()];
  t.match(await runNode(elsewhere), {
    code: 2,
    stderr: /expected a folder in which 'parallel' is/,
  });
});
