/** Which programs a rule is for. */

import path from 'node:path';
import { globPattern } from './endpoint-pattern';

/**
 * Whether the program that runs is meant: by the name of its script, with or without its extension,
 * or by the whole path where the pattern has a slash. Asked at each use, because process managers
 * put the script's name into `process.argv` after the start.
 */
export function programPattern(glob: string): () => boolean {
  const pattern = globPattern(glob, /\\[*?]/g);
  let lastScript: string | undefined;
  let lastAnswer = pattern.test('');
  return () => {
    const script = process.argv[1] ?? '';
    if (script !== (lastScript ?? '')) {
      lastScript = script;
      const { base, name } = path.parse(script);
      lastAnswer = (glob.includes('/') ? [script] : [base, name]).some((one) => pattern.test(one));
    }
    return lastAnswer;
  };
}
