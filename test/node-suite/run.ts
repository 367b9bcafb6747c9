/**
 * Runs Node's own tests of net, http, https, http2, tls and cluster under rdma-net, and says which
 * of them end otherwise than without it. See CONTRIBUTING.md for where to get them.
 */

import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { UsageError } from '../../lib/commands/command';
import { chosen, wholeNumber } from '../command-line/options';
import { program, runProgram, type CommandLine, type Parsed } from '../command-line/program';
import { differences } from './differences';
import { endAll, execute, MODES, type ExecuteOptions, type Execution, type Mode } from './execute';
import { isOpen, judge, type Runs, type Verdict } from './judge';
import { findTests, SUITES, type TestFile } from './test-file';

const commandLine = {
  summary: "Node's own tests under rdma-net: which of them end otherwise than without it",
  options: {
    tests: { type: 'string', takes: 'FOLDER', about: "the folder 'test' of Node's sources" },
    node: {
      type: 'string',
      takes: 'PATH',
      about: 'the node to run them with, if not the one of this program',
    },
    mode: { type: 'string', default: 'local', takes: 'MODE', about: `one of ${MODES.join(', ')}` },
    filter: {
      type: 'string',
      default: '',
      takes: 'REGEXP',
      about: 'only names that match, as in parallel/test-net-listening',
    },
    jobs: {
      type: 'string',
      default: '2',
      takes: 'N',
      about: "tests of 'parallel' at the same time",
    },
    timeout: { type: 'string', default: '60', takes: 'SECONDS', about: 'how long one may take' },
    times: { type: 'string', default: '1', takes: 'N', about: 'how often each is run at first' },
    env: {
      type: 'string',
      multiple: true,
      takes: 'NAME=VALUE',
      about: 'a variable for the tests; may be given more than once',
    },
    json: { type: 'string', takes: 'FILE', about: 'where to write all results' },
    verbose: { type: 'boolean', default: false, about: 'print the output of those that differ' },
  },
} as const satisfies CommandLine;

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

function regexpOf(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch (error) {
    throw new UsageError(`--filter: ${(error as Error).message}`);
  }
}

interface Order {
  readonly tests: readonly TestFile[];
  readonly jobs: number;
  readonly plan: Plan;
  readonly json: string | undefined;
}

/** @throws {UsageError} */
function readOrder({ values }: Parsed<typeof commandLine>): Order {
  if (values.tests === undefined) throw new UsageError("--tests is missing: the folder 'test'");
  const folder = path.resolve(values.tests);
  if (!existsSync(path.join(folder, 'parallel'))) {
    throw new UsageError(`--tests is ${folder}; expected a folder in which 'parallel' is`);
  }
  const [mode = MODES[0], ...others] = chosen('mode', values.mode, MODES);
  if (others.length > 0) throw new UsageError('--mode is one mode');
  const [jobs, times, seconds] = [
    wholeNumber('jobs', values.jobs, 64),
    wholeNumber('times', values.times, 1000),
    wholeNumber('timeout', values.timeout, 3600),
  ];
  const filter = regexpOf(values.filter);
  const scratch = mkdtempSync(path.join(tmpdir(), 'node-suite-'));
  const env: Record<string, string> = {};
  for (const pair of values.env ?? []) {
    const [name = '', value = ''] = pair.split(/=(.*)/s);
    env[name] = value;
  }
  const options = {
    node: path.resolve(values.node ?? process.execPath),
    scratch,
    timeoutMs: seconds * 1000,
    env,
  };
  return {
    tests: findTests(folder, filter),
    jobs,
    plan: { mode, times, verbose: values.verbose, options },
    json: values.json,
  };
}

const nodeSuite = program(commandLine, async (given) => {
  const { tests, jobs, plan, json } = readOrder(given);
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
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    endAll();
    process.kill(process.pid, signal);
  });
}
void runProgram('node dist/test/node-suite/run.js', nodeSuite);
