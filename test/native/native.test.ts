import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import t from 'tap';

import { execute } from '../lab/execute';
import { projectRoot } from '../lab/project-root';

/** The first of the programs that is not there. */
async function firstMissing(programs: readonly string[]): Promise<string | undefined> {
  for (const program of programs) {
    const { status } = await execute(program, ['--version']);
    if (status !== 0) return program;
  }
  return undefined;
}

t.test('stream engine', async (t) => {
  const root = projectRoot();
  const missing = await firstMissing(['make', process.env['CXX'] ?? 'g++']);
  if (missing !== undefined) {
    const reason = `${missing} is missing, which builds the native tests`;
    if (process.env['CI']) t.fail(reason);
    else t.pass('native tests', { skip: reason });
    return;
  }

  const make = ['-C', join('test', 'native'), `-j${availableParallelism()}`];
  const { status, stdout, stderr } = await execute('make', make, { cwd: root });
  if (status !== 0) {
    t.fail('the native tests do not build', { status, output: `${stdout}${stderr}` });
    return;
  }

  // Each of the program's lines counts as a test of this run.
  const program = join(root, 'build', 'native', 'native-tests');
  await t.spawn(program, [], { cwd: root }, 'native tests, with ASan and UBSan');
});
