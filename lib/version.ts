/** The version of this package. */

import { readFileSync } from 'node:fs';
import path from 'node:path';

/** Where the package lies. */
export const packageFolder = path.join(__dirname, '..', '..');

export function packageVersion(): string {
  const file = path.join(packageFolder, 'package.json');
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
