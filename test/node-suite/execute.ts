/** Runs one file of Node's suites, under one way of loading rdma-net. */

import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { TestFile } from './test-file';

/**
 * `plain`: without the preload. `tcp`: with it, and nothing but TCP to be had. `local`: with it, so
 * that what connects to a server that has it too does so over shared memory.
 */
export const MODES = ['plain', 'tcp', 'local'] as const;
export type Mode = (typeof MODES)[number];

export type Outcome = 'pass' | 'skip' | 'fail' | 'timeout';

export interface Execution {
  readonly outcome: Outcome;
  readonly durationMs: number;
  /** The end of what the test printed, where it did not pass. */
  readonly output: string;
}

export interface ExecuteOptions {
  readonly node: string;
  /** Where tests run, and find their folders for files: the parent of the suites' folder. */
  readonly scratch: string;
  readonly timeoutMs: number;
  /** More for the environment of the test. */
  readonly env: Readonly<Record<string, string>>;
}

const PRELOAD = path.resolve(__dirname, '../../lib/preload.js');
const OUTPUT_BYTES = 6000;
const SKIPPED = /^1\.\.0 # Skipped/m;

let serial = 0;
const running = new Set<number>();

/** Ends all tests that run, with what they started: for a runner that is told to end. */
export function endAll(): void {
  for (const pid of running) endGroup(pid);
}

// By NODE_OPTIONS, so that children and workers have it too.
function environmentOf(mode: Mode): NodeJS.ProcessEnv {
  if (mode === 'plain') return {};
  return {
    NODE_OPTIONS: `--require ${PRELOAD}`,
    RDMA_NET: 'prefer',
    // Without an RDMA device here, all that is left is TCP.
    RDMA_NET_TRANSPORTS: mode === 'tcp' ? 'rdma' : 'local',
  };
}

function inherited(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env);
  return Object.fromEntries(entries.filter(([name]) => !/^(NODE_|RDMA_NET|TAP)/.test(name)));
}

/** @param thread which of the tests that run at the same time this is, from 1 */
export async function execute(
  test: TestFile,
  mode: Mode,
  thread: number,
  options: ExecuteOptions,
): Promise<Execution> {
  const id = `${process.pid}-${++serial}`;
  const log = path.join(options.scratch, `output-${id}`);
  mkdirSync(options.scratch, { recursive: true });
  const descriptor = openSync(log, 'w');
  const beganMs = Date.now();
  const child = spawn(options.node, [...test.flags, test.path], {
    cwd: path.resolve(path.dirname(test.path), '../..'),
    // A group of its own, so that what it leaves behind can be ended with it.
    detached: true,
    stdio: ['ignore', descriptor, descriptor],
    env: {
      ...inherited(),
      ...environmentOf(mode),
      ...options.env,
      NODE_TEST_DIR: options.scratch,
      TEST_SERIAL_ID: id,
      TEST_THREAD_ID: String(thread),
      TEST_PARALLEL: test.folder === 'parallel' ? '1' : '0',
    },
  });
  closeSync(descriptor);
  if (child.pid !== undefined) running.add(child.pid);
  const clock = { isLate: false };
  const timer = setTimeout(() => {
    clock.isLate = true;
    endGroup(child.pid);
  }, options.timeoutMs);
  const status = await new Promise<string | number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      resolve(signal ?? code);
    });
  });
  clearTimeout(timer);
  endGroup(child.pid);
  if (child.pid !== undefined) running.delete(child.pid);
  const output = readFileSync(log, 'utf8');
  rmSync(log);
  rmSync(path.join(options.scratch, `.tmp.${id}`), { recursive: true, force: true });
  const durationMs = Date.now() - beganMs;
  if (status === 0) {
    return { outcome: SKIPPED.test(output) ? 'skip' : 'pass', durationMs, output: '' };
  }
  const outcome = clock.isLate ? 'timeout' : 'fail';
  return { outcome, durationMs, output: `${output.slice(-OUTPUT_BYTES)}\n[${status}]` };
}

function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nothing was left behind.
  }
}
