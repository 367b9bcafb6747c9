import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Writable } from 'node:stream';

import { chooseAccelerator } from './accelerator';
import { LabUnavailable } from './execute';
import { LinePrefix } from './line-prefix';
import { type Accelerator, type Link, type Machine } from './qemu';
import { type Command, commandScript } from './script';
import { runSession, type SessionResult } from './session';
import { type Installation, type Report, setUp } from './setup';

export { LabUnavailable } from './execute';
export { type Accelerator } from './qemu';
export { type Command } from './script';

/** What `run` and `pair` have in common. */
export interface LabOptions {
  /** From the start of the boot to the end of the command; 300 if absent. */
  readonly timeoutSeconds?: number;
  /** Virtual CPUs of each guest; 1 if absent. */
  readonly cpus?: number;
  /** Memory of each guest; 1024 if absent. All that it writes to files lies there too. */
  readonly memoryMebibytes?: number;
  /** Debian's package of the kernel to boot, such as linux-image-6.12-amd64; its default if absent. */
  readonly kernelPackage?: string;
  /** Overrides the choice between KVM and emulation. */
  readonly accelerator?: Accelerator;
  /** Where the commands' output goes, byte for byte; this process's own streams if absent. */
  readonly stdout?: Writable;
  readonly stderr?: Writable;
  /** Shows console and timings on standard error. */
  readonly verbose?: boolean;
  /** Aborting kills the guests; the promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

export interface RunOptions extends LabOptions, Command {}

export interface RunResult {
  /** The command's exit status; 124 after the timeout, 125 when the guest died. */
  readonly status: number;
  readonly timedOut: boolean;
  /** From the start of QEMU until the RDMA device was up. */
  readonly bootSeconds: number;
  /** Zero when the command did not start. */
  readonly commandSeconds: number;
}

export interface PairOptions extends LabOptions {
  /** For h1 (10.77.0.1, fd77::1) and h2 (10.77.0.2, fd77::2); a string is a line for `sh -c`. */
  readonly commands: readonly [Command | string, Command | string];
}

export interface PairResult extends RunResult {
  /** The status of each command; `status` is the first that is not 0. */
  readonly statuses: readonly [number, number];
}

export type LabAvailability =
  { readonly available: true } | { readonly available: false; readonly reason: string };

/** Sets the lab up, and says whether guests can be run here, or why not: tests are then skipped. */
export async function labAvailability(
  report: Report = reportTo(process.stderr),
  kernelPackage?: string,
): Promise<LabAvailability> {
  try {
    await setUp(report, kernelPackage);
    return { available: true };
  } catch (error) {
    if (error instanceof LabUnavailable) return { available: false, reason: error.message };
    throw error;
  }
}

/**
 * Boots a guest with an RDMA device (rxe0 on veth0, 10.77.0.1 and fd77::1), runs one command in it
 * and powers it off. The command sees the host's files; what it writes to them is lost.
 *
 * @throws LabUnavailable when the lab cannot be set up; RangeError for an option out of range.
 */
export async function runInLab(options: RunOptions): Promise<RunResult> {
  const script = commandScript(options);
  const { stdout = process.stdout, stderr = process.stderr } = options;
  const [installation, template] = await prepare(options, stderr);
  const member = { label: 'guest', machine: { ...template, number: 1 }, script, stdout, stderr };
  const session = await runSession([member], installation, { ...limits(options), stderr });
  return result(session);
}

/**
 * Boots two guests joined by a network, each with an RDMA device on it, runs a command in each when
 * both are up, and powers them off when both commands have ended. Output lines are prefixed with
 * `h1| ` and `h2| `.
 *
 * @throws LabUnavailable when the lab cannot be set up; RangeError for an option out of range.
 */
export async function pairInLab(options: PairOptions): Promise<PairResult> {
  const scripts = options.commands.map((command) =>
    commandScript(typeof command === 'string' ? { command } : command),
  );
  const { stdout = process.stdout, stderr = process.stderr } = options;
  const [installation, template] = await prepare(options, stderr);
  const folder = linkFolder();
  try {
    const members = scripts.map((script, index) => ({
      label: `h${index + 1}`,
      machine: { ...template, number: index + 1, link: linkOf(folder, index + 1) },
      script,
      stdout: new LinePrefix(`h${index + 1}| `, stdout),
      stderr: new LinePrefix(`h${index + 1}| `, stderr),
    }));
    const session = await runSession(members, installation, { ...limits(options), stderr });
    await Promise.all(members.flatMap((member) => [member.stdout.close(), member.stderr.close()]));
    const [first = 125, second = 125] = session.statuses;
    return { ...result(session), statuses: [first, second] };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A reporter that writes the lab's own lines so that they are told from a command's output. */
export function reportTo(stream: Writable): Report {
  return (line) => stream.write(`lab: ${line}\n`);
}

async function prepare(
  options: LabOptions,
  stderr: Writable,
): Promise<readonly [Installation, Omit<Machine, 'number'>]> {
  const report = reportTo(stderr);
  const { cpus = 1, memoryMebibytes = 1024 } = options;
  if (!inRange(cpus, 1, 64)) throw new RangeError('cpus: 1 to 64');
  if (!inRange(memoryMebibytes, 256, 1 << 20)) throw new RangeError('memory: at least 256 MiB');
  const installation = await setUp(report, options.kernelPackage);
  const accelerator = options.accelerator ?? (await chooseAccelerator(installation, report));
  return [installation, { cpus, memoryMebibytes, accelerator }];
}

function limits({ timeoutSeconds = 300, verbose = false, signal }: LabOptions) {
  // Timers overflow above 2^31 ms.
  if (!(timeoutSeconds > 0 && timeoutSeconds <= 2_000_000)) {
    throw new RangeError('timeout: above 0 and up to 2000000 seconds');
  }
  return { timeoutSeconds, verbose, signal };
}

function inRange(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}

function result({ statuses, timedOut, bootSeconds, commandSeconds }: SessionResult): RunResult {
  const status = statuses.find((each) => each !== 0) ?? 0;
  return { status, timedOut, bootSeconds, commandSeconds };
}

const linkFolderPrefix = 'rdma-net-lab-';

/** A folder for the sockets between two guests. Those of labs that were killed are removed. */
function linkFolder(): string {
  for (const name of readdirSync(tmpdir())) {
    const owner = new RegExp(`^${linkFolderPrefix}(\\d+)-`).exec(name)?.[1];
    if (owner === undefined || isAlive(Number(owner))) continue;
    rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
  return mkdtempSync(join(tmpdir(), `${linkFolderPrefix}${process.pid}-`));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

function linkOf(folder: string, number: number): Link {
  return { localPath: join(folder, `h${number}`), remotePath: join(folder, `h${3 - number}`) };
}
