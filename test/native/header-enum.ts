import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { projectRoot } from '../lab/project-root';

/**
 * Reads the numbers of an `enum class` from a header; names are without their `k`.
 *
 * @param header - path from the root of the checkout.
 * @throws Error when there is no such enum, or when a constant of it has no number of its own.
 */
export function headerEnum(header: string, name: string): Readonly<Record<string, number>> {
  const text = readFileSync(join(projectRoot(), header), 'utf8').replace(/\/\/.*$/gm, '');
  const body = new RegExp(`enum class ${name}\\b[^{;]*\\{([^}]*)\\}`).exec(text)?.[1];
  if (body === undefined) throw new Error(`${header} has no enum class ${name}`);
  const constants = body.split(',').map((constant) => constant.trim());
  return Object.fromEntries(
    constants
      .filter((constant) => constant !== '')
      .map((constant) => {
        const [, key, number] = /^k(\w+)\s*=\s*(-?\d+)$/.exec(constant) ?? [];
        if (key === undefined) throw new Error(`${header}: ${name}: cannot read "${constant}"`);
        return [key, Number(number)];
      }),
  );
}
