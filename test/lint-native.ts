/**
 * npm run lint:native [-- --fix]
 *
 * Format and clang-tidy for the C++ of the addon and its tests; `--fix` formats in place. Compiler
 * warnings are errors where it is compiled: in `npm run build:native` and the tests' makefiles. What
 * cannot be had on this machine is skipped, with the reason; in CI it fails.
 */

import { execute } from './lab/execute';
import { projectRoot } from './lab/project-root';
import { checkAll } from './lint/check-all';
import { checkUnified } from './lint/check-unified';
import { clangTool } from './lint/clang-tools';
import { filesBelow } from './lint/files';
import { nativeSources } from './lint/native-sources';

const root = projectRoot();

/** A check gives the problems it found, and throws when it cannot be made here. */
interface Check {
  readonly name: string;
  readonly run: () => Promise<readonly string[]>;
}

const checks: readonly Check[] = [
  { name: 'clang-format', run: checkFormat },
  { name: 'clang-tidy', run: checkTidy },
  { name: 'clang-analyzer', run: analyze },
];

async function checkFormat(): Promise<readonly string[]> {
  const folders = ['binding', 'test/native', 'test/rdma/peers'];
  const files = folders.flatMap((folder) => filesBelow(root, folder, ['.h', '.c', '.cc']));
  const mode = process.argv.includes('--fix') ? ['-i'] : ['--dry-run', '-Werror'];
  const command = await clangTool('clang-format', report);
  const { status, stderr } = await execute(command, [...mode, ...files], { cwd: root });
  if (status === 0) return [];
  return [`${stderr.trim()}\napply the format with: npm run lint:native -- --fix`];
}

/** All checks but the analyzer's. */
async function checkTidy(): Promise<readonly string[]> {
  const command = await clangTool('clang-tidy', report);
  const { files, flags } = await nativeSources(root, report);
  const checks = '--checks=-clang-analyzer-*,-bugprone-suspicious-include';
  return checkUnified(command, files, (file) => ['--quiet', checks, file, '--', ...flags], root);
}

/** The analyzer, which would follow calls from one file into another, and go astray there. */
async function analyze(): Promise<readonly string[]> {
  const command = await clangTool('clang-tidy', report);
  const { files, flags } = await nativeSources(root, report);
  const checks = '--checks=-*,clang-analyzer-*,bugprone-suspicious-include';
  const args = (file: string) => ['--quiet', checks, file, '--', ...flags];
  const problems = await checkAll(command, files, args, root);
  return problems.map(({ output }) => output);
}

/** Whether the check passed, or may be left out. */
async function perform({ name, run }: Check): Promise<boolean> {
  const start = performance.now();
  try {
    const problems = await run();
    for (const problem of problems) process.stderr.write(`${problem}\n`);
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    report(`${name}: ${problems.length === 0 ? 'clean' : 'FAILED'} (${seconds} s)`);
    return problems.length === 0;
  } catch (error) {
    const inCi = Boolean(process.env['CI']);
    const reason = error instanceof Error ? error.message : String(error);
    report(`${name}: ${inCi ? 'FAILED' : 'skipped'}: ${reason}`);
    return !inCi;
  }
}

function report(line: string): void {
  process.stdout.write(`lint-native: ${line}\n`);
}

async function main(): Promise<void> {
  for (const check of checks) {
    if (!(await perform(check))) process.exitCode = 1;
  }
}

void main();
