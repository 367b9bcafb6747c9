/** Debian's Chromium without a screen, driven over the pipe of its DevTools protocol. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Readable, Writable } from 'node:stream';

type Params = Record<string, unknown>;

interface Message {
  id?: number;
  method?: string;
  params?: Params;
  result?: Params;
  error?: { message: string };
}

interface Waiting {
  resolve: (result: Params) => void;
  reject: (error: Error) => void;
}

/** Messages end with a zero byte. */
const SEPARATOR = '\0';

const flags = [
  '--headless',
  '--remote-debugging-pipe',
  // Root cannot have the sandbox; the page is one that this test has written itself.
  '--no-sandbox',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--hide-scrollbars',
];

export class Chromium {
  readonly #child: ChildProcess;
  readonly #profile: string;
  readonly #commands: Writable;
  readonly #waiting = new Map<number, Waiting>();
  readonly #loaded: (() => void)[] = [];
  /** What the page complained about: errors of its scripts, and of its console. */
  readonly complaints: string[] = [];
  #session: string | undefined;
  #lastId = 0;
  #text = '';

  private constructor(child: ChildProcess, profile: string) {
    this.#child = child;
    this.#profile = profile;
    const [, , , commands, messages] = child.stdio;
    this.#commands = commands as Writable;
    // It closes its end when it is told to, and needs not hear more.
    this.#commands.on('error', () => undefined);
    (messages as Readable).setEncoding('utf8').on('data', (text: string) => this.#take(text));
    child.on('exit', () => this.#fail(new Error('Chromium has ended')));
    child.on('error', (error) => this.#fail(error));
  }

  /** Starts it with an empty page. */
  static async start(): Promise<Chromium> {
    const profile = mkdtempSync(path.join(os.tmpdir(), 'rdma-net-chromium-'));
    const child = spawn('chromium', [...flags, `--user-data-dir=${profile}`, 'about:blank'], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
      env: { ...process.env, HOME: profile },
    });
    const chromium = new Chromium(child, profile);
    const { targetId } = await chromium.#ask('Target.createTarget', { url: 'about:blank' });
    const attached = await chromium.#ask('Target.attachToTarget', { targetId, flatten: true });
    chromium.#session = attached['sessionId'] as string;
    for (const domain of ['Page', 'Runtime', 'Log']) await chromium.#ask(`${domain}.enable`);
    return chromium;
  }

  /** Opens a file, and waits until it is loaded. */
  async open(file: string, size: { width: number; height: number }): Promise<void> {
    await this.#ask('Emulation.setDeviceMetricsOverride', {
      ...{ ...size, deviceScaleFactor: 1, mobile: false },
    });
    const loaded = new Promise<void>((resolve) => this.#loaded.push(resolve));
    await this.#ask('Page.navigate', { url: `file://${file}` });
    await loaded;
    await this.nextFrame();
  }

  async setColourScheme(value: 'light' | 'dark'): Promise<void> {
    const features = [{ name: 'prefers-color-scheme', value }];
    await this.#ask('Emulation.setEmulatedMedia', { features });
    await this.nextFrame();
  }

  /** What is drawn is there after the second frame that is asked for. */
  async nextFrame(): Promise<void> {
    const frame = '(resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))';
    await this.evaluate(`new Promise(${frame}).then(() => 0)`);
  }

  /** The value of an expression in the page. */
  async evaluate(expression: string): Promise<unknown> {
    const answer = await this.#ask('Runtime.evaluate', {
      ...{ expression, awaitPromise: true, returnByValue: true },
    });
    if (answer['exceptionDetails'] !== undefined) {
      throw new Error(`the page threw: ${JSON.stringify(answer['exceptionDetails'])}`);
    }
    return (answer['result'] as { value?: unknown }).value;
  }

  /** A PNG of the whole page. */
  async screenshot(): Promise<Buffer> {
    const answer = await this.#ask('Page.captureScreenshot', { captureBeyondViewport: true });
    return Buffer.from(answer['data'] as string, 'base64');
  }

  async end(): Promise<void> {
    const closed = once(this.#child, 'close');
    this.#session = undefined;
    await this.#ask('Browser.close').catch(() => undefined);
    await closed;
    // Children of it may still write into the folder as they end.
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }

  #ask(method: string, params: Params = {}): Promise<Params> {
    const id = ++this.#lastId;
    const session = this.#session === undefined ? {} : { sessionId: this.#session };
    const answered = new Promise<Params>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
    });
    this.#commands.write(JSON.stringify({ id, method, params, ...session }) + SEPARATOR);
    return answered;
  }

  #take(text: string): void {
    const messages = (this.#text + text).split(SEPARATOR);
    this.#text = messages.pop() ?? '';
    for (const message of messages) this.#hear(JSON.parse(message) as Message);
  }

  #hear({ id, method, params = {}, result, error }: Message): void {
    if (id !== undefined) {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(result ?? {});
      else waiting?.reject(new Error(error.message));
    } else if (method === 'Page.loadEventFired') {
      for (const resolve of this.#loaded.splice(0)) resolve();
    } else if (method !== undefined && isComplaint(method, params)) {
      this.complaints.push(`${method}: ${JSON.stringify(params)}`);
    }
  }

  #fail(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

function isComplaint(method: string, params: Params): boolean {
  if (method === 'Runtime.exceptionThrown') return true;
  if (method === 'Runtime.consoleAPICalled') {
    return ['error', 'warning', 'assert'].includes(params['type'] as string);
  }
  if (method !== 'Log.entryAdded') return false;
  const { level } = params['entry'] as { level: string };
  return level === 'error' || level === 'warning';
}
