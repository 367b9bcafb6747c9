import { availableParallelism } from 'node:os';

import { execute } from '../lab/execute';

/**
 * Runs one program for each file, as many at a time as there are processors.
 *
 * @returns what those that failed printed.
 */
export async function checkAll(
  command: string,
  files: readonly string[],
  argsFor: (file: string) => readonly string[],
  cwd: string,
): Promise<string[]> {
  const waiting = [...files];
  const problems: string[] = [];
  const work = async () => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const { status, stdout, stderr } = await execute(command, argsFor(file), { cwd });
      // clang-tidy's standard error only counts what it has hidden.
      if (status !== 0) problems.push((stdout || stderr || `${file}: status ${status}`).trim());
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  return problems;
}
