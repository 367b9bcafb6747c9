import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { scriptFile, withPreload } from '../support/children';

/** The next line that somebody says, which has to be of this event. */
export async function nextSaying<Saying extends { event: string }, E extends Saying['event']>(
  lines: AsyncIterator<string>,
  event: E,
): Promise<Saying & { event: E }> {
  const line = await lines.next();
  if (line.done === true) throw new Error(`Node ended before it said ${event}`);
  const saying = JSON.parse(line.value) as Saying;
  if (saying.event === event) return saying as Saying & { event: E };
  throw new Error(`Node said ${line.value} where ${event} was expected`);
}

/** A Node process that lives through a benchmark, and says lines of JSON. */
export class Side<Saying extends { event: string }> {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  /**
   * @param program a compiled script, as {@link scriptFile} takes it
   * @param flags for node; those that load the package if none are given
   */
  constructor(
    program: string,
    args: string[],
    env: Record<string, string>,
    flags: string[] = withPreload,
  ) {
    this.#child = spawn(process.execPath, [...flags, scriptFile(program), ...args], {
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    if (this.#child.stdout === null) throw new Error('the child has no standard output');
    this.#lines = createInterface(this.#child.stdout)[Symbol.asyncIterator]();
  }

  /** The next thing that it says, which has to be this. */
  says<E extends Saying['event']>(event: E): Promise<Saying & { event: E }> {
    return nextSaying<Saying, E>(this.#lines, event);
  }

  tell(command: object): void {
    this.#child.stdin?.write(`${JSON.stringify(command)}\n`);
  }

  async end(): Promise<void> {
    const closed = once(this.#child, 'close');
    this.#child.stdin?.end();
    await closed;
  }

  /** For when something went wrong: it may be in the middle of something. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }
}
