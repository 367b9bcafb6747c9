import { spawn } from 'node:child_process';

/** What a program left behind. A program that could not be started has status 127. */
export interface Execution {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ExecuteOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string;
}

/**
 * Runs a host program to its end and collects its output. Never rejects: the caller decides what a
 * status other than 0 means.
 */
export function execute(
  command: string,
  args: readonly string[],
  options: ExecuteOptions = {},
): Promise<Execution> {
  return new Promise((resolve) => {
    const { input, ...spawnOptions } = options;
    const child = spawn(command, args, { ...spawnOptions, stdio: 'pipe' });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    const end = (status: number) => {
      resolve({ status, stdout: text(stdout), stderr: text(stderr) });
    };
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.on('error', (error) => {
      stderr.push(Buffer.from(`${command}: ${error.message}\n`));
      end(127);
    });
    child.on('close', (code) => end(code ?? 128));
    // A program that does not read all of its input is judged by its status alone.
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
  });
}

/**
 * Runs a host program that has to succeed, and gives its standard output.
 *
 * @throws LabUnavailable with the end of its standard error otherwise.
 */
export async function executeOrFail(
  command: string,
  args: readonly string[],
  options: ExecuteOptions = {},
): Promise<string> {
  const { status, stdout, stderr } = await execute(command, args, options);
  if (status === 0) return stdout;
  const end = stderr.trim().split('\n').slice(-8).join('\n');
  throw new LabUnavailable(`${[command, ...args].join(' ')} failed (status ${status}):\n${end}`);
}

/** The lab cannot be had on this machine; the message says why and, where possible, the remedy. */
export class LabUnavailable extends Error {
  override readonly name = 'LabUnavailable';
}

function text(chunks: readonly Buffer[]): string {
  return Buffer.concat(chunks).toString('utf8');
}
