import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Test } from 'tap';
import type { TransportName } from '../../lib/mode';
import { preload } from '../rdma/program';
import { folder } from './setup';

/** Options of a test on this machine. */
export const HERE = { timeout: 120_000 };

/** How long an example may run, in the guest too: one that hangs is killed, and its test tells so. */
const LIFE_MS = 100_000;

export interface ExampleOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Whether rdma-net is loaded as `npx rdma-net run` does it. Default true. */
  readonly preload?: boolean;
  /** Where it is run; default in examples/. */
  readonly cwd?: string;
}

/** What a program has left when it has ended. */
export interface Ending {
  readonly code: number | null;
  readonly output: string;
  readonly errors: string;
}

/**
 * A program of examples/, run as a user runs it, for one test. What it prints is for people, and is
 * judged.
 */
export class Example {
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  #output = '';
  #errors = '';
  #isOver = false;
  #waiting: (() => void)[] = [];

  constructor(t: Test, command: readonly string[], { env, cwd = folder }: ExampleOptions = {}) {
    const [program = '', ...args] = command;
    this.#child = spawn(program, args, {
      cwd,
      // An emulated processor is 25 times slower than the default head start is made for.
      env: { ...process.env, RDMA_NET_HEAD_START_MS: '20000', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const kill = (): void => void this.#child.kill('SIGKILL');
    const timer = setTimeout(kill, LIFE_MS);
    // After a test that failed.
    t.teardown(kill);
    this.#child.stdout?.on('data', (chunk: Buffer) => {
      this.#output += chunk.toString();
      this.#wake();
    });
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.#errors += chunk.toString();
      this.#wake();
    });
    this.#ended = once(this.#child, 'close').then(() => {
      clearTimeout(timer);
      this.#isOver = true;
      this.#wake();
    });
  }

  /** A program for Node. */
  static node(
    t: Test,
    file: string,
    args: readonly string[] = [],
    options: ExampleOptions = {},
  ): Example {
    const flags = options.preload === false ? [] : ['--require', preload];
    return new Example(t, [process.execPath, ...flags, file, ...args], options);
  }

  /** Resolves with what is printed there; rejects if the program ends without. */
  prints(pattern: RegExp): Promise<RegExpExecArray> {
    return this.#find(pattern, () => this.#output);
  }

  /** Resolves when a server can be reached so, which may be after it listens on TCP. */
  async isReachedOver(transport: TransportName): Promise<void> {
    if (transport === 'tcp') return;
    await this.#find(new RegExp(`can be reached over ${transport}`), () => this.#errors);
  }

  /** Resolves when it has ended by itself. */
  async ends(): Promise<Ending> {
    await this.#ended;
    return { code: this.#child.exitCode, output: this.#output, errors: this.#errors };
  }

  /** Ends it as a service manager does. */
  terminate(): Promise<Ending> {
    this.#child.kill('SIGTERM');
    return this.ends();
  }

  /** Ends it as Ctrl-C does. */
  interrupt(): Promise<Ending> {
    this.#child.kill('SIGINT');
    return this.ends();
  }

  async #find(pattern: RegExp, text: () => string): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(text());
      if (found !== null) return found;
      if (this.#isOver) {
        throw new Error(`it ended without ${pattern.source}: ${this.#output}${this.#errors}`);
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}
