/** Says on standard error how far something is: in one line on a terminal, else now and then. */
export class Progress {
  readonly #steps: number;
  readonly #stream: NodeJS.WriteStream;
  readonly #startMs = performance.now();
  #done = 0;
  #saidMs = -Infinity;

  constructor(steps: number, stream: NodeJS.WriteStream = process.stderr) {
    this.#steps = steps;
    this.#stream = stream;
  }

  /** A line that stays. */
  say(text: string): void {
    this.#stream.write(this.#stream.isTTY ? `\r\x1b[K${text}\n` : `${text}\n`);
  }

  /** Called when a step begins. */
  step(text: string): void {
    const nowMs = performance.now();
    const line = `[${this.#done + 1}/${this.#steps}] ${text}${this.#left(nowMs)}`;
    this.#done++;
    if (this.#stream.isTTY) this.#stream.write(`\r\x1b[K${line}`);
    else if (nowMs - this.#saidMs > QUIET_MS) {
      this.#saidMs = nowMs;
      this.#stream.write(`${line}\n`);
    }
  }

  end(): void {
    if (this.#stream.isTTY) this.#stream.write('\r\x1b[K');
  }

  /** Guessed from what was done so far, once that is enough to guess from. */
  #left(nowMs: number): string {
    if (this.#done < 5) return '';
    const seconds = (((nowMs - this.#startMs) / this.#done) * (this.#steps - this.#done)) / 1000;
    const text = seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
    return ` (about ${text} left)`;
  }
}

/** Between lines of a log. */
const QUIET_MS = 5000;
