/** Arbitrary input for the wire decoder and the engine; CONTRIBUTING.md says how to run longer. */

import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';

import t, { type Test } from 'tap';

import { execute } from '../lab/execute';
import { ensurePackages } from '../lab/packages';
import { projectRoot } from '../lab/project-root';

const root = projectRoot();
const emptyTarget = 'extern "C" int LLVMFuzzerTestOneInput(const char*, long) { return 0; }';

async function hasFuzzer(): Promise<boolean> {
  const options = ['-fsanitize=fuzzer,address,undefined', '-x', 'c++', '-', '-o', '/dev/null'];
  const { status } = await execute('clang++-14', options, { input: emptyTarget });
  return status === 0;
}

/** Why nothing can be fuzzed here, after trying to get what it takes. */
async function whyNot(t: Test): Promise<string | undefined> {
  if (await hasFuzzer()) return undefined;
  try {
    await ensurePackages(['make', 'clang-14', 'libclang-rt-14-dev'], (line) => t.comment(line));
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  return (await hasFuzzer()) ? undefined : 'clang++-14 cannot link with libFuzzer';
}

/** A bounded run that begins with the corpus. What is found new goes nowhere. */
async function fuzz(t: Test, target: string, runs: number, bytesMax: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'rdma-net-fuzz-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const program = join(root, 'build', 'fuzz', `${target}-fuzz`);
  const corpus = join(root, 'test', 'native', 'corpus', target);
  const options = [`-runs=${runs}`, `-max_len=${bytesMax}`, '-timeout=20', '-print_final_stats=1'];
  const artifacts = `-artifact_prefix=${join(root, 'build', 'fuzz')}/`;
  const { status, stderr } = await execute(program, [...options, artifacts, folder, corpus]);
  // The end has the stack, and the input in base64.
  t.equal(status, 0, { output: stderr.split('\n').slice(-80).join('\n') });
  t.match(stderr, /number_of_executed_units: *[1-9]/, 'inputs were tried');
}

t.test('fuzzing', async (t) => {
  const reason = await whyNot(t);
  if (reason !== undefined) {
    if (process.env['CI']) t.fail(reason);
    else t.pass('fuzz targets', { skip: reason });
    return;
  }
  const make = ['-C', join('test', 'native', 'fuzz'), `-j${availableParallelism()}`];
  const { status, stdout, stderr } = await execute('make', make, { cwd: root });
  if (status !== 0) {
    t.fail('the fuzz targets do not build', { status, output: `${stdout}${stderr}` });
    return;
  }

  await t.test('the wire decoder lets nothing through that cannot be calculated with', (t) =>
    fuzz(t, 'wire', 1_000_000, 300),
  );
  await t.test('no peer makes the engine misuse memory, change a view or leave something', (t) =>
    fuzz(t, 'engine', 100_000, 600),
  );
});
