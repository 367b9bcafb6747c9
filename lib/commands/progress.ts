/** What a command is doing now: one line that changes on terminals, a line each elsewhere. */

import type { WriteStream } from 'node:tty';

/** See the top of the file. */
export class Progress {
  /** Only a terminal has columns. */
  readonly #stream: Pick<WriteStream, 'write'> & Partial<Pick<WriteStream, 'columns' | 'isTTY'>>;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  readonly say = (text: string): void => {
    const { isTTY, columns } = this.#stream;
    // A terminal that does not know its size says 0.
    this.#stream.write(isTTY ? `\r\x1b[2K${text.slice(0, (columns || 80) - 1)}` : `${text}\n`);
  };

  /** Takes the line away. */
  end(): void {
    if (this.#stream.isTTY) this.#stream.write('\r\x1b[2K');
  }
}
