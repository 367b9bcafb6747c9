/** What `npm pack` takes along, against rules that say what has to be there. */

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { execute } from '../lab/execute';
import { root } from '../rdma/program';
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
const others = ['LICENSE', 'README.md', 'binding.gyp', 'package.json'];
const prebuilds = targets.map(prebuildPath);

const published = publishedFiles();

void t.test('the package has what a user needs, and nothing else', async (t) => {
  const expected = [...others, ...binding, ...library.flatMap(compiled)].sort();
  const found = (await published).filter((file) => !prebuilds.includes(file));
  const without = (these: string[], those: string[]): string[] =>
    these.filter((file) => !those.includes(file));
  t.strictSame(without(expected, found), [], 'nothing is missing');
  // In a checkout that has been used, what was compiled from sources that are gone: remove dist.
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
