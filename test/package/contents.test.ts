/** What `npm pack` takes along, against rules that say what has to be there. */

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { targetsOf } from '../docs/links';
import { execute, executeOrFail } from '../lab/execute';
import { root } from '../rdma/program';
import { leftovers } from './finish-build';
import { publishedFiles } from './tarball';
import { prebuildPath, targets } from './targets';

/** Every file below a folder of the checkout, by its path in it. */
function filesBelow(folder: string): string[] {
  const entries = readdirSync(path.join(root, folder), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)));
}

/** What the compiler makes of a source of lib. */
function compiled(source: string): string[] {
  const extension = source.endsWith('.mts') ? 'm' : '';
  const base = path.join('dist', source).replace(/\.m?ts$/, '');
  return [`${base}.${extension}js`, `${base}.${extension}js.map`, `${base}.d.${extension}ts`];
}

const library = filesBelow('lib').filter((file) => !file.endsWith('.d.ts'));
const binding = filesBelow('binding').filter((file) => !file.startsWith('binding/sim/'));
const docs = filesBelow('docs');
const others = ['LICENSE', 'README.md', 'binding.gyp', 'package.json'];
const prebuilds = targets.map(prebuildPath);

/** What is about working on the package: links to it are for who reads a page in a clone. */
const OF_A_CLONE = /^(CONTRIBUTING\.md$|(test|benchmarks|lib)\/)/;

/** What Windows takes for a device, or refuses in a name. */
const NOT_ON_WINDOWS = /[<>:"|?*\\]|[. ](\/|$)|(^|\/)(con|prn|aux|nul|com\d|lpt\d)(\.|\/|$)/i;

/** The examples that are committed: who ran them has their libraries, keys and programs there, too. */
async function examples(): Promise<string[]> {
  const stdout = await executeOrFail('git', ['ls-files', 'examples'], { cwd: root });
  // npm publishes nobody's settings.
  return stdout.split('\n').filter((file) => file !== '' && !file.endsWith('.npmrc'));
}

const published = publishedFiles();

void t.test('the package has what a user needs, and nothing else', async (t) => {
  const compiledFiles = library.flatMap(compiled);
  const expected = [...others, ...binding, ...docs, ...(await examples()), ...compiledFiles];
  const found = (await published).filter((file) => !prebuilds.includes(file));
  const without = (these: string[], those: string[]): string[] =>
    these.filter((file) => !those.includes(file));
  t.strictSame(without(expected, found), [], 'nothing is missing');
  t.strictSame(without(found, expected), [], 'nothing is too much');
});

void t.test('the package has the sources that are compiled, and what they include', async (t) => {
  const files = new Set(await published);
  const gyp = readFileSync(path.join(root, 'binding.gyp'), 'utf8');
  const sources = [...gyp.matchAll(/'(binding\/[^']+\.cc)'/g)].map((match) => match[1] ?? '');
  t.ok(sources.length > 0);
  for (const source of sources) t.ok(files.has(source), `${source} is there`);
  const missing = binding
    .filter((file) => /\.(cc|h)$/.test(file))
    .flatMap((file) => {
      const text = readFileSync(path.join(root, file), 'utf8');
      const included = [...text.matchAll(/^#include "([^"]+)"/gm)].map((match) => match[1] ?? '');
      // Quoted paths begin in binding.
      return included.map((name) => path.join('binding', name)).filter((name) => !files.has(name));
    });
  t.strictSame([...new Set(missing)], []);
});

void t.test('a map of the compiled sources has the sources in it', async (t) => {
  for (const file of (await published).filter((name) => /js\.map$/.test(name))) {
    const map = JSON.parse(readFileSync(path.join(root, file), 'utf8')) as {
      sources: unknown[];
      sourcesContent?: unknown[];
    };
    t.equal(map.sourcesContent?.length, map.sources.length, file);
  }
});

void t.test('a page that is published leads to what is published', async (t) => {
  const files = await published;
  const pages = files.filter((file) => file.endsWith('.md'));
  t.ok(pages.includes('docs/transports.md'));
  const dead = pages.flatMap((page) => {
    const leadsTo = targetsOf(readFileSync(path.join(root, page), 'utf8')).map((target) =>
      path.join(path.dirname(page), target.replace(/#.*/, '') || path.basename(page)),
    );
    const isThere = (place: string): boolean =>
      files.some((file) => file === place || file.startsWith(`${place}/`));
    return leadsTo.filter((place) => !isThere(place) && !OF_A_CLONE.test(place));
  });
  t.strictSame(dead, []);
});

void t.test('every system can store what is published, and run it', async (t) => {
  const files = await published;
  t.strictSame(
    files.filter((file) => NOT_ON_WINDOWS.test(file)),
    [],
    'as names of Windows',
  );
  const lower = files.map((file) => file.toLowerCase());
  t.equal(new Set(lower).size, files.length, 'no two differ in case alone');
  // Below `C:\\Users\\name\\project\\node_modules\\rdma-net` all has to fit into 260 characters.
  t.ok(Math.max(...files.map((file) => file.length)) < 100, 'paths are short');
  const returns = files.filter(
    (file) => !file.endsWith('.node') && readFileSync(path.join(root, file)).includes('\r\n'),
  );
  t.strictSame(returns, [], 'a #! line that ends in a return is no interpreter');
});

void t.test('what was compiled from sources that are gone is found', (t) => {
  const folder = t.testdir({
    lib: { 'here.ts': '', 'module.mts': '' },
    dist: {
      '.tsbuildinfo': '',
      lib: {
        'here.js': '',
        'here.js.map': '',
        'here.d.ts': '',
        'module.mjs': '',
        'module.d.mts': '',
        'gone.js': '',
        'gone.d.ts': '',
        'gone.mjs.map': '',
      },
    },
  });
  const gone = ['gone.d.ts', 'gone.js', 'gone.mjs.map'].map((name) => path.join('lib', name));
  t.strictSame(leftovers(folder).sort(), gone);
  t.strictSame(leftovers(root), [], 'of this build');
  t.end();
});

void t.test('no prebuilt binary can be committed by accident', async (t) => {
  for (const file of prebuilds) {
    const { status } = await execute('git', ['check-ignore', '--quiet', file], { cwd: root });
    t.equal(status, 0, `${file} is ignored`);
  }
  const { stdout } = await execute('git', ['ls-files', 'prebuilds', '*.node'], { cwd: root });
  t.equal(stdout, '');
});

void t.test('the package can be installed everywhere', (t) => {
  const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as object;
  for (const field of ['os', 'cpu', 'libc']) t.notOk(field in manifest, `no system is excluded`);
  t.end();
});
