import { once } from 'node:events';
import { Transform, type TransformCallback, type Writable } from 'node:stream';

/** Forwards whole lines, each with a prefix, so that two guests can share one output. */
export class LinePrefix extends Transform {
  readonly #prefix: Buffer;
  #partial: Buffer[] = [];

  constructor(prefix: string, target: Writable) {
    super();
    this.#prefix = Buffer.from(prefix);
    this.pipe(target, { end: false });
  }

  /** Ends the stream and waits until its last line has been passed on. */
  async close(): Promise<void> {
    const passed = once(this, 'end');
    this.end();
    await passed;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    const lines: Buffer[] = [];
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      lines.push(this.#prefix, ...this.#partial, chunk.subarray(start, end + 1));
      this.#partial = [];
      start = end + 1;
    }
    if (start < chunk.length) this.#partial.push(chunk.subarray(start));
    callback(null, lines.length === 0 ? undefined : Buffer.concat(lines));
  }

  /** A last line without its end gets one. */
  override _flush(callback: TransformCallback): void {
    if (this.#partial.length === 0) callback();
    else callback(null, Buffer.concat([this.#prefix, ...this.#partial, Buffer.from('\n')]));
  }
}
