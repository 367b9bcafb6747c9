/**
 * What the compiler leaves undone, by `npm run build:ts`: it never removes what it made of sources
 * that are gone, which would be published and, where it is a test, run.
 */

import { chmodSync, existsSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';

/** The compiler makes these of one source; what else is there, is not from it. */
const MADE = /\.(?:d\.)?(m?)(?:js|js\.map|ts)$/;

/** The files of `dist`, by their paths in it, that no source of the checkout makes. */
export function leftovers(checkout: string): string[] {
  const dist = path.join(checkout, 'dist');
  const files = readdirSync(dist, { recursive: true, encoding: 'utf8' });
  return files.filter((file) => {
    if (!MADE.test(file)) return false;
    return !existsSync(path.join(checkout, file.replace(MADE, '.$1ts')));
  });
}

function finish(): void {
  const checkout = path.join(__dirname, '..', '..', '..');
  for (const file of leftovers(checkout)) rmSync(path.join(checkout, 'dist', file));
  chmodSync(path.join(checkout, 'dist', 'lib', 'cli.js'), 0o755);
}

if (require.main === module) finish();
