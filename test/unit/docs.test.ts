/** What the pages say of the code, as far as that can be compared. */

import { readFileSync } from 'node:fs';
import path, { join } from 'node:path';
import t from 'tap';
import { settings } from '../../lib/mode';
import { reasons } from '../../lib/reasons';
import { unknownVariables } from '../../lib/doctor/variables';
import { stats } from '../../lib/stats';
import { apiPage } from '../docs/api-page';
import { anchorsOf, brokenLinks, targetsOf } from '../docs/links';
import { projectRoot } from '../lab/project-root';
import { filesBelow } from '../lint/files';
import { libFolder, runNode } from './support';

const root = projectRoot();

function read(name: string): string {
  return readFileSync(join(root, name), 'utf8');
}

t.test('the page on transports has every reason, as programs see it', (t) => {
  const [, table = ''] = read('docs/transports.md').split('\n## Reasons for TCP\n');
  const rows = table.matchAll(/^\| `([^`]+)` +\| (.+?) +\| (.+?) +\|$/gm);
  const listed = [...rows].map(([, code, text, fix]) => [code, text, fix === '—' ? '' : fix]);
  t.strictSame(
    listed,
    Object.entries(reasons).map(([code, { text, fix }]) => [code, text, fix]),
  );
  t.end();
});

t.test('the page on configuration has every setting and every variable', (t) => {
  const [, table = ''] = read('docs/configuration.md').split('\n## All settings\n');
  const [rows = ''] = table.split('\n## ');
  const variables = /\bRDMA_NET(?:_[A-Z]+)*\b/g;
  const described = new Set(rows.match(variables));
  const used = new Set(read('lib/mode.ts').match(variables));
  t.strictSame(
    [...used].filter((name) => !described.has(name)),
    [],
  );
  const named = new Set([...rows.matchAll(/^\|[^|]*\| +`(\w+)`/gm)].map(([, name]) => name));
  t.strictSame(
    Object.keys(settings).filter((name) => !named.has(name)),
    [],
  );
  t.end();
});

t.test(
  'the doctor and the help know every variable, and the doctor those that are none',
  async (t) => {
    const used = [...new Set(read('lib/mode.ts').match(/\bRDMA_NET(?:_[A-Z]+)*\b/g))];
    t.strictSame(unknownVariables(Object.fromEntries(used.map((name) => [name, '1']))), []);
    t.strictSame(unknownVariables({ RDMA_NET_TRANSPORT: 'rdma', RDMA: '1' }), [
      'RDMA_NET_TRANSPORT',
    ]);
    const { stdout } = await runNode([path.join(libFolder, 'cli.js'), '--help']);
    t.strictSame(
      used.filter((name) => !stdout.includes(`  ${name}=`)),
      [],
    );
  },
);

t.test('the page on the API is what `npm run docs:api` writes', async (t) => {
  t.equal(await apiPage(), read('docs/api.md'));
});

t.test('the example of metrics has every figure of stats()', (t) => {
  const example = read('examples/metrics.js');
  const { counters, ...figures } = stats();
  const names = Object.keys({ ...figures, ...counters }).map((name) =>
    // These two halves are all bytes, and are made of one text.
    name.replace(/^(bytes(?:Sent|Received))(?:Copied|InPlace)$/, '$1'),
  );
  t.ok(names.length > 15);
  t.strictSame(
    names.filter((name) => !new RegExp(`\\b${name}\\b`).test(example)),
    [],
  );
  t.end();
});

t.test('every link of the pages leads somewhere', (t) => {
  const pages = ['README.md', 'CONTRIBUTING.md', ...filesBelow(root, 'docs', ['.md'])];
  t.strictSame(brokenLinks(root, pages), []);
  t.end();
});

t.test('links and headings are found where they are, and not in code', (t) => {
  const page = [
    '# A `name()`: and, more',
    '## Twice',
    '## Twice',
    '[one](other.md#there), `[no](link)`, [out](https://example.com/)',
    '```sh',
    '# no heading [no](link)',
    '```',
    'and [one more](#twice)',
  ].join('\n');
  t.strictSame([...anchorsOf(page)], ['a-name-and-more', 'twice', 'twice-1']);
  t.strictSame(targetsOf(page), ['other.md#there', '#twice']);
  t.end();
});
