/** The files of Node's own suites, and how Node's tools/test.py runs one. */

import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

/** Files of `sequential` may use a fixed port: one at a time, and beside no other. */
export type Folder = 'parallel' | 'sequential';

export const SUITES = ['net', 'http', 'https', 'http2', 'tls', 'cluster'] as const;
export type Suite = (typeof SUITES)[number];

export interface TestFile {
  /** As in `parallel/test-net-listening`. */
  readonly name: string;
  readonly folder: Folder;
  readonly suite: Suite;
  readonly path: string;
  /** What the comment `// Flags:` asks for. */
  readonly flags: readonly string[];
}

const NAME = /^test-([a-z0-9]+)-.*\.m?js$/;
const FLAGS = /^\/\/\s+Flags:(.*)$/m;

/**
 * @param root the folder that has `parallel`, `sequential`, `common` and `fixtures`
 * @param filter matched against names
 */
export function findTests(root: string, filter: RegExp): TestFile[] {
  return (['parallel', 'sequential'] as const).flatMap((folder) =>
    readdirSync(path.join(root, folder))
      .sort()
      .flatMap((file) => readTest(root, folder, file))
      .filter(({ name }) => filter.test(name)),
  );
}

function readTest(root: string, folder: Folder, file: string): TestFile[] {
  const suite = SUITES.find((known) => known === NAME.exec(file)?.[1]);
  if (suite === undefined) return [];
  const at = path.join(root, folder, file);
  const flags = FLAGS.exec(readFileSync(at, 'utf8'))?.[1]?.trim().split(/\s+/) ?? [];
  return [{ name: `${folder}/${path.parse(file).name}`, folder, suite, path: at, flags }];
}
