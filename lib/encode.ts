/** Strings and lists of chunks as bytes, in the ways of Node's stream handles. */

import { Buffer } from 'node:buffer';
import { IN_PLACE_BYTES_MIN } from './registrations';

/** The encodings for which Node has a write method of its own. */
export type Encoding = 'utf8' | 'latin1' | 'utf16le';

/**
 * Strings up to this many bytes are encoded into memory that all streams share: fewer than what is
 * sent from where it is.
 */
const SCRATCH_BYTES = IN_PLACE_BYTES_MIN - 1;

const bytesPerUnit: Record<Encoding, number> = { utf8: 3, latin1: 1, utf16le: 2 };

let scratch: Buffer | undefined;

/** A string as bytes, valid until the next call: see {@link own}. */
export function encode(text: string, encoding: Encoding): Uint8Array {
  if (text.length * bytesPerUnit[encoding] > SCRATCH_BYTES) return Buffer.from(text, encoding);
  scratch ??= Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  return scratch.subarray(0, scratch.write(text, 0, SCRATCH_BYTES, encoding));
}

/**
 * The same chunks, for keeping until there is room: none lies in memory that the next string will
 * overwrite, or whose ArrayBuffer the program may transfer to a worker. Large ones are not copied:
 * the native side can keep their memory.
 */
export function own(chunks: readonly Uint8Array[]): Uint8Array[] {
  return chunks.map((chunk) =>
    chunk.byteLength < IN_PLACE_BYTES_MIN ? Buffer.from(chunk) : chunk,
  );
}

/**
 * The chunks of a writev as bytes, without empty ones: what is last must be sent, and not be held
 * back for a chunk that is nothing.
 * @param chunks buffers, or string and encoding in turn, where a buffer has any encoding
 */
export function encodeChunks(chunks: readonly unknown[], allBuffers: boolean): Uint8Array[] {
  if (allBuffers) return (chunks as Uint8Array[]).filter((chunk) => chunk.byteLength > 0);
  const encoded: Uint8Array[] = [];
  for (let index = 0; index < chunks.length; index += 2) {
    const chunk = chunks[index];
    encoded.push(
      typeof chunk === 'string'
        ? Buffer.from(chunk, chunks[index + 1] as BufferEncoding)
        : (chunk as Uint8Array),
    );
  }
  return encoded.filter((chunk) => chunk.byteLength > 0);
}
