import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import t, { type Test } from 'tap';

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

/** Each of a program's lines counts as a test of this run. */
async function run(t: Test, name: string, title: string, env: NodeJS.ProcessEnv = {}) {
  const root = projectRoot();
  const program = join(root, 'build', 'native', name);
  await t.spawn(program, [], { cwd: root, env: { ...process.env, ...env } }, title);
}

t.test('native side', async (t) => {
  const missing = await firstMissing(['make', process.env['CXX'] ?? 'g++']);
  if (missing !== undefined) {
    const reason = `${missing} is missing, which builds the native tests`;
    if (process.env['CI']) t.fail(reason);
    else t.pass('native tests', { skip: reason });
    return;
  }

  const make = ['-C', join('test', 'native'), `-j${availableParallelism()}`];
  const { status, stdout, stderr } = await execute('make', make, { cwd: projectRoot() });
  if (status !== 0) {
    t.fail('the native tests do not build', { status, output: `${stdout}${stderr}` });
    return;
  }

  await run(t, 'queue-stress-tsan', 'shared queue, with TSan', { MESSAGES: '100000' });
  await run(t, 'queue-stress', 'shared queue, at full speed', { MESSAGES: '1000000' });
  await run(t, 'native-tests', 'native tests, with ASan and UBSan');
});
