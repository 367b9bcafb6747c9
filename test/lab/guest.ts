import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { type Writable } from 'node:stream';

import { channels, type Machine, qemuArguments } from './qemu';
import { type Installation } from './setup';

const consoleLinesMax = 400;
const drainMillisecondsMax = 15_000;
const lastOutputMillisecondsMax = 2_000;

/** The guest or its QEMU ended, or misbehaved, before its command was done. */
export class GuestFailure extends Error {
  override readonly name = 'GuestFailure';
}

/** Where a guest's output goes. Chunks arrive as the guest writes them, byte for byte. */
export interface GuestOutput {
  readonly stdout: Writable;
  readonly stderr: Writable;
  /** Told each line of the guest's serial console and of QEMU. */
  readonly onConsoleLine?: (line: string) => void;
}

/**
 * One running guest: QEMU, and the conversation with the guest's agent that guest/agent describes.
 *
 *   boot -> ready -> run() -> exited -> finish() -> drained -> stop()
 *
 * Every step rejects with GuestFailure when QEMU ends early; stop() is allowed at any time.
 */
export class Guest {
  /** Settles when the guest has its RDMA device and waits for a command. */
  readonly ready: Promise<void>;
  /** Called when the guest's lab-signal is: with `NAME VALUE`. */
  onSignal: (signal: string) => void = () => undefined;

  readonly #process: ChildProcess;
  readonly #control: Socket;
  readonly #ended: Promise<void>;
  readonly #consoleLines: string[] = [];
  readonly #received = { stdout: 0, stderr: 0 };
  readonly #waiting = new Map<string, (rest: string) => void>();
  readonly #seen = new Map<string, string>();
  readonly #failed: Promise<never>;
  #onReceived: () => void = () => undefined;
  #stopping = false;

  constructor(machine: Machine, installation: Installation, output: GuestOutput) {
    // QEMU must not outlive the lab even if that is killed: the kernel sees to it.
    this.#process = spawn(
      'setpriv',
      ['--pdeathsig', 'KILL', 'qemu-system-x86_64', ...qemuArguments(machine, installation)],
      { stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe'] },
    );
    this.#ended = new Promise((resolve) => {
      this.#process.once('error', () => resolve());
      this.#process.once('exit', () => {
        // Output that nobody takes does not keep a guest that is gone.
        const timer = setTimeout(resolve, lastOutputMillisecondsMax);
        this.#process.once('close', () => {
          clearTimeout(timer);
          resolve();
        });
      });
    });
    this.#failed = this.#ended.then(() => {
      throw new GuestFailure(this.#stopping ? 'the guest was stopped' : 'the guest ended early');
    });
    this.#failed.catch(() => undefined);
    this.#control = this.#stream(channels.control);
    this.#control.on('error', () => undefined);
    createInterface({ input: this.#control }).on('line', (line) => this.#obey(line));
    for (const name of ['stdout', 'stderr'] as const) this.#forward(name, output[name]);
    for (const index of [1, 2, channels.console]) this.#keepLines(index, output.onConsoleLine);
    this.ready = this.#message('ready').then(() => undefined);
    this.ready.catch(() => undefined);
  }

  /** Runs a shell script to its end in the guest; gives its exit status. */
  async run(script: string): Promise<number> {
    this.#say(`run ${Buffer.from(script).toString('base64')}`);
    return Number(await this.#message('exited'));
  }

  /** Kills what the script left running, and waits until all output has been forwarded. */
  async finish(): Promise<void> {
    this.#say('end');
    const timer = setTimeout(() => this.kill(), drainMillisecondsMax);
    try {
      const [stdout = 0, stderr = 0] = (await this.#message('drained')).split(' ').map(Number);
      const complete = new Promise<void>((resolve) => {
        this.#onReceived = () => {
          if (this.#received.stdout >= stdout && this.#received.stderr >= stderr) resolve();
        };
        this.#onReceived();
      });
      await Promise.race([complete, this.#failed]);
    } catch {
      throw new GuestFailure('the command ended, but what it left running could not be stopped');
    } finally {
      clearTimeout(timer);
    }
  }

  /** Makes `lab-wait NAME` return in the guest. */
  signal(signal: string): void {
    this.#say(`signal ${signal}`);
  }

  /** Makes every `lab-wait` whose signal has not come fail with a reason. */
  endSignals(reason: string): void {
    this.#say(`ended ${reason}`);
  }

  /** Has the guest list its processes on the console, for up to the given time. */
  async dump(millisecondsMax: number): Promise<void> {
    this.#say('dump');
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, millisecondsMax)));
    await Promise.race([this.#message('dumped'), late]).catch(() => undefined);
    clearTimeout(timer);
  }

  /** The last lines of the guest's console. */
  consoleTail(lines: number): readonly string[] {
    return this.#consoleLines.slice(-lines);
  }

  /** Ends the guest, without ceremony since nothing in it is to be kept. */
  kill(): void {
    this.#stopping = true;
    this.#process.kill('SIGKILL');
  }

  /** Ends the guest and waits for its end. */
  async stop(): Promise<void> {
    this.kill();
    await this.#ended;
  }

  #say(line: string): void {
    if (this.#control.writable) this.#control.write(`${line}\n`);
  }

  #message(verb: string): Promise<string> {
    const early = this.#seen.get(verb);
    if (early !== undefined) return Promise.resolve(early);
    const arrived = new Promise<string>((resolve) => this.#waiting.set(verb, resolve));
    return Promise.race([arrived, this.#failed]);
  }

  #obey(line: string): void {
    const [verb = ''] = line.split(' ', 1);
    const rest = line.slice(verb.length + 1);
    if (verb === 'signal') {
      this.onSignal(rest);
      return;
    }
    this.#seen.set(verb, rest);
    this.#waiting.get(verb)?.(rest);
  }

  /** The lab's end of a descriptor of QEMU's: a socket pair for each, so both ways work. */
  #stream(index: number): Socket {
    const stream = this.#process.stdio[index];
    if (!(stream instanceof Socket)) throw new GuestFailure(`QEMU has no descriptor ${index}`);
    return stream;
  }

  /** A slow reader slows the guest's writes down, as a pipe would. */
  #forward(name: 'stdout' | 'stderr', target: Writable): void {
    const source = this.#stream(channels[name]);
    source.on('error', () => undefined);
    source.on('data', (chunk: Buffer) => {
      this.#received[name] += chunk.length;
      if (!target.write(chunk)) {
        source.pause();
        void once(target, 'drain').then(
          () => source.resume(),
          () => this.kill(),
        );
      }
      this.#onReceived();
    });
  }

  #keepLines(index: number, listener: ((line: string) => void) | undefined): void {
    const source = this.#stream(index);
    source.on('error', () => undefined);
    createInterface({ input: source }).on('line', (line) => {
      this.#consoleLines.push(line);
      if (this.#consoleLines.length > consoleLinesMax) this.#consoleLines.shift();
      listener?.(line);
    });
  }
}
