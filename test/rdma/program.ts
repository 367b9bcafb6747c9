import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';

/** The checkout, from dist/test/rdma. */
export const root = path.join(__dirname, '..', '..', '..');
export const preload = path.join(root, 'dist', 'lib', 'preload.js');

/** Options of a test in the guest, where everything takes 25 times as long. */
export const PATIENT = { timeout: 180_000 };

const running = new Set<ChildProcess>();

/** After a test that failed: what it left running would keep the guest from ending. */
export function killLeftovers(): void {
  for (const child of running) child.kill('SIGKILL');
}

/** What a program says: one JSON object a line on its standard output. */
export interface Saying {
  event: string;
  [key: string]: unknown;
}

export interface ProgramOptions {
  /** Arguments of the program. */
  args?: string[];
  env?: Record<string, string>;
  /** Without the preload it is plain Node. Default true. */
  preload?: boolean;
  /** A command to run node under, as `['prlimit', '--memlock=0']`. */
  wrapper?: string[];
  /** Outlives the test that it was started in: whoever starts it kills it. Default false. */
  shared?: boolean;
  /** Options of node, as `['--expose-gc']`. */
  flags?: string[];
}

/** A program run as a child. It says what happens in lines of JSON, and ends when its input does. */
export class Child {
  readonly #child: ChildProcess;
  readonly #sayings: Saying[] = [];
  readonly #ended: Promise<void>;
  #listeners: (() => void)[] = [];
  #exited = false;
  #stderr = '';

  constructor(command: string[], options: { env?: Record<string, string>; shared?: boolean } = {}) {
    this.#child = spawn(command[0] ?? '', command.slice(1), {
      env: { ...process.env, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    if (!options.shared) running.add(this.#child);
    const { stdout, stderr } = this.#child;
    if (stdout === null || stderr === null) throw new Error('the child has no pipes');
    createInterface(stdout).on('line', (line) => {
      this.#sayings.push(JSON.parse(line) as Saying);
      this.#wake();
    });
    stderr.on('data', (chunk: Buffer) => (this.#stderr += chunk.toString()));
    this.#ended = once(this.#child, 'close').then(() => {
      this.#exited = true;
      running.delete(this.#child);
      this.#wake();
    });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** Everything said so far with this event. */
  all(event: string): Saying[] {
    return this.#sayings.filter((saying) => saying.event === event);
  }

  /** Resolves with what was said `index`-th (from 0) with this event; rejects if the program ends. */
  async says(event: string, index = 0): Promise<Saying> {
    for (;;) {
      const saying = this.all(event)[index];
      if (saying !== undefined) return saying;
      if (this.#exited) {
        throw new Error(`the program ended before it said ${event}: ${this.#stderr}`);
      }
      await new Promise<void>((resolve) => this.#listeners.push(resolve));
    }
  }

  tell(command: string): void {
    this.#child.stdin?.write(`${command}\n`);
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Resolves when it has ended, with the signal that ended it, if one did. */
  async ended(): Promise<NodeJS.Signals | null> {
    await this.#ended;
    return this.#child.signalCode;
  }

  /** Ends the program's input, and resolves with its exit status and what it wrote to stderr. */
  async end(): Promise<{ code: number | null; stderr: string }> {
    this.#child.stdin?.end();
    await this.#ended;
    return { code: this.#child.exitCode, stderr: this.#stderr };
  }

  #wake(): void {
    for (const listener of this.#listeners.splice(0)) listener();
  }
}

/** A Node program of test/rdma/programs, or of elsewhere if its path is absolute. */
export class Program extends Child {
  constructor(name: string, options: ProgramOptions = {}) {
    const command = [
      ...(options.wrapper ?? []),
      process.execPath,
      ...(options.flags ?? []),
      ...(options.preload === false ? [] : ['--require', preload]),
      path.resolve(__dirname, 'programs', `${name}.js`),
      ...(options.args ?? []),
    ];
    // An emulated processor is 25 times slower than the default head start is made for.
    const env = { RDMA_NET_HEAD_START_MS: '20000', ...options.env };
    super(command, { env, shared: options.shared ?? false });
  }
}

/** A wrapper for processes that may lock so many bytes: CAP_IPC_LOCK would take the limit away. */
export function withLockedMemory(bytes: number): string[] {
  return [
    'setpriv',
    ...['--bounding-set', '-ipc_lock', '--inh-caps', '-ipc_lock'],
    'prlimit',
    `--memlock=${bytes}:${bytes}`,
  ];
}

/** Runs a command to its end; `onOutput` is called whenever it has written something. */
export async function run(
  command: string,
  args: string[],
  onOutput?: () => void,
): Promise<{ code: number | null; output: string }> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      onOutput?.();
    });
  }
  await once(child, 'close');
  running.delete(child);
  return { code: child.exitCode, output };
}
