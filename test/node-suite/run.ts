/**
 * Runs Node's own tests of net, http, https, http2, tls and cluster under rdma-net, and says which
 * of them end otherwise than without it. See CONTRIBUTING.md for where to get them.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { differences } from './differences';
import { endAll, execute, MODES, type ExecuteOptions, type Execution, type Mode } from './execute';
import { isOpen, judge, type Runs, type Verdict } from './judge';
import { findTests, SUITES, type TestFile } from './test-file';

const USAGE = `node dist/test/node-suite/run.js --tests FOLDER [OPTIONS]
  --tests FOLDER        the folder "test" of Node's sources
  --node PATH           the node to run them with (default: this one)
  --mode MODE           ${MODES.join(', ')} (default local)
  --filter REGEXP       only names that match, as in parallel/test-net-listening
  --jobs N              tests of "parallel" at the same time (default 2)
  --timeout SECONDS     for each (default 60)
  --times N             run each test so often at first (default 1)
  --env NAME=VALUE      set a variable for the tests
  --json FILE           write all results there
  --verbose             print the output of tests that end otherwise
`;

interface Result {
  readonly test: TestFile;
  readonly runs: Runs;
  readonly verdict: Verdict;
}

interface Plan {
  readonly mode: Mode;
  readonly times: number;
  /** Whether to print what tests printed. */
  readonly verbose: boolean;
  readonly options: ExecuteOptions;
}

async function runTest(test: TestFile, thread: number, plan: Plan): Promise<Result> {
  const { mode, options, times } = plan;
  const inMode: Execution[] = [];
  const plain: Execution[] = [];
  const runs: Runs = { inMode, plain };
  for (let count = 0; count < times; count++) {
    inMode.push(await execute(test, mode, thread, options));
  }
  while (isOpen(test.name, mode, runs)) {
    // In turns, so that both have the same neighbours.
    if (inMode.length <= plain.length) inMode.push(await execute(test, mode, thread, options));
    else if (inMode.every(({ outcome }) => outcome === 'pass' || outcome === 'skip')) {
      inMode.push(await execute(test, mode, thread, options));
    } else plain.push(await execute(test, 'plain', thread, options));
  }
  return { test, runs, verdict: judge(test.name, mode, runs) };
}

/** So many at the same time, in order. */
async function runAll(tests: readonly TestFile[], jobs: number, plan: Plan): Promise<Result[]> {
  const results: Result[] = [];
  let next = 0;
  const work = async (thread: number): Promise<void> => {
    for (let test = tests[next++]; test !== undefined; test = tests[next++]) {
      const result = await runTest(test, thread, plan);
      results.push(result);
      if (result.verdict !== 'same') say(result, plan);
    }
  };
  await Promise.all(Array.from({ length: jobs }, (_, index) => work(index + 1)));
  return results;
}

function outcomesOf(executions: readonly Execution[]): string {
  return executions.map(({ outcome }) => outcome).join(' ');
}

function say({ test, runs, verdict }: Result, plan: Plan): void {
  const reason = plan.mode === 'local' ? differences[test.name]?.reason : undefined;
  const note = reason === undefined ? '' : ` (${reason})`;
  const plain = runs.plain.length === 0 ? '' : `; plain: ${outcomesOf(runs.plain)}`;
  const isBad = verdict !== 'known' && plan.verbose;
  const output = isBad ? runs.inMode.map((one) => `\n${one.output}`).join('') : '';
  console.log(`${verdict} ${test.name}: ${outcomesOf(runs.inMode)}${plain}${note}${output}`);
}

function summarize(results: readonly Result[]): void {
  for (const suite of SUITES) {
    const ofSuite = results.filter(({ test }) => test.suite === suite);
    if (ofSuite.length === 0) continue;
    const first = ofSuite.map(({ runs }) => runs.inMode[0]?.outcome);
    const count = (outcome: string): number => first.filter((one) => one === outcome).length;
    const otherwise = ofSuite.filter(({ verdict }) => verdict !== 'same' && verdict !== 'stale');
    console.log(
      `${suite}: ${ofSuite.length} tests, ${count('pass')} pass, ${count('skip')} skipped, ` +
        `${count('fail') + count('timeout')} do not; ${otherwise.length} end otherwise than plain`,
    );
  }
}

function readPlan(): { tests: TestFile[]; jobs: number; plan: Plan; json: string | undefined } {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    options: {
      tests: text,
      node: { ...text, default: process.execPath },
      mode: { ...text, default: 'local' },
      filter: { ...text, default: '' },
      jobs: { ...text, default: '2' },
      timeout: { ...text, default: '60' },
      times: { ...text, default: '1' },
      env: { ...text, multiple: true },
      json: text,
      verbose: { type: 'boolean', default: false },
    },
  });
  const mode = MODES.find((known) => known === values.mode);
  if (values.tests === undefined || mode === undefined) throw new Error(USAGE);
  const scratch = mkdtempSync(path.join(tmpdir(), 'node-suite-'));
  const env: Record<string, string> = {};
  for (const pair of values.env ?? []) {
    const [name = '', value = ''] = pair.split(/=(.*)/s);
    env[name] = value;
  }
  const options = {
    node: path.resolve(values.node),
    scratch,
    timeoutMs: Number(values.timeout) * 1000,
    env,
  };
  return {
    tests: findTests(path.resolve(values.tests), new RegExp(values.filter)),
    jobs: Number(values.jobs),
    plan: { mode, times: Number(values.times), verbose: values.verbose, options },
    json: values.json,
  };
}

async function main(): Promise<void> {
  const { tests, jobs, plan, json } = readPlan();
  const of = (folder: string): TestFile[] => tests.filter((test) => test.folder === folder);
  try {
    const results = [
      ...(await runAll(of('parallel'), jobs, plan)),
      ...(await runAll(of('sequential'), 1, plan)),
    ];
    summarize(results);
    if (json !== undefined) {
      const rows = results.map(({ test: { name }, ...rest }) => ({ name, ...rest }));
      writeFileSync(json, `${JSON.stringify(rows, undefined, 1)}\n`);
    }
    const good: readonly Verdict[] = ['same', 'known'];
    if (!results.every(({ verdict }) => good.includes(verdict))) process.exitCode = 1;
  } finally {
    rmSync(plan.options.scratch, { recursive: true, force: true });
  }
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    endAll();
    process.kill(process.pid, signal);
  });
}
void main();
