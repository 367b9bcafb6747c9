/** Where measurements run: on this machine's RDMA device if it has one, else in the lab. */
import { execFile } from 'node:child_process';
import { Writable } from 'node:stream';
import { promisify } from 'node:util';
import { labAvailability, runInLab } from '../../test/lab/lab';
import { findOwnDevice, type OwnDevice } from '../../lib/explain/device-route';
import { scriptFile } from './children';

const LAB_ADDRESS = '10.77.0.1';

export { findOwnDevice as findDevice };
export type { OwnDevice as Device };

/**
 * Runs a compiled script, as `matrix/run.js`, with the address as its first argument, on the device or
 * in the lab.
 * @returns its standard output
 * @throws Error when it fails, or the lab cannot be had
 */
export async function runMeasurement(
  script: string,
  args: string[],
  device: OwnDevice | undefined,
  timeoutSeconds: number,
): Promise<string> {
  const file = scriptFile(script);
  if (device !== undefined) {
    const run = promisify(execFile)(process.execPath, [file, device.address, ...args]);
    run.child.stderr?.pipe(process.stderr);
    return (await run).stdout;
  }
  const availability = await labAvailability();
  if (!availability.available) throw new Error(`the lab cannot be had: ${availability.reason}`);
  let output = '';
  const stdout = new Writable({
    write(chunk: Buffer, _encoding, done) {
      output += chunk.toString();
      done();
    },
  });
  const { status } = await runInLab({
    command: process.execPath,
    args: [file, LAB_ADDRESS, ...args],
    // An emulated processor needs longer for a handshake than the default is made for.
    env: { RDMA_NET_HEAD_START_MS: '20000' },
    cpus: 2,
    memoryMebibytes: 2048,
    timeoutSeconds,
    stdout,
    stderr: process.stderr,
  });
  if (status !== 0) throw new Error(`the measurement in the lab ended with status ${status}`);
  return output;
}

/** What has to be said where the lab stands in for hardware. */
export const labCaveat =
  'Software RDMA shows that everything works, not how fast it is: it pays a system call and a\n' +
  'copy for each message, and the processor is emulated. Only hardware shows the difference.';
