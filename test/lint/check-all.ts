import { availableParallelism } from 'node:os';

import { execute } from '../lab/execute';

/** A file that did not pass, and what was printed of it. */
export interface Problem {
  readonly file: string;
  readonly output: string;
}

/** Runs one program for each file, as many at a time as there are processors. */
export async function checkAll(
  command: string,
  files: readonly string[],
  argsFor: (file: string) => readonly string[],
  cwd: string,
): Promise<Problem[]> {
  const waiting = [...files];
  const problems: Problem[] = [];
  const work = async () => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const { status, stdout, stderr } = await execute(command, argsFor(file), { cwd });
      // clang-tidy's standard error only counts what it has hidden.
      const output = (stdout || stderr || `${file}: status ${status}`).trim();
      if (status !== 0) problems.push({ file, output });
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  return problems;
}
