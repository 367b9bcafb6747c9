/** Memory for sending without a copy. */

import { Buffer, constants } from 'node:buffer';
import { noteAllocated } from './registrations';
import { rdmaTransport } from './transport';

/**
 * A Buffer from which RDMA sends without copying: it has an ArrayBuffer of its own, filled with
 * zeros, that is registered with the device as long as it lives. It pays from 64 KiB on; do not
 * change the bytes of a write before its callback. Elsewhere it is a Buffer like any other.
 * @param bytes its length, 0 to `buffer.constants.MAX_LENGTH`
 * @throws TypeError or RangeError when `bytes` is not a number of bytes that a Buffer can have
 */
export function alloc(bytes: number): Buffer {
  const expected = `alloc() takes a whole number of bytes from 0 to ${constants.MAX_LENGTH}`;
  if (typeof (bytes as unknown) !== 'number') {
    throw new TypeError(`${expected}, not ${typeof bytes}`);
  }
  if (!Number.isInteger(bytes) || bytes < 0 || bytes > constants.MAX_LENGTH) {
    throw new RangeError(`${expected}, not ${bytes}`);
  }
  const memory = new ArrayBuffer(bytes);
  noteAllocated(memory, rdmaTransport.opened);
  return Buffer.from(memory);
}
