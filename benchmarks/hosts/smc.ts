/** What makes Node speak SMC in the lab, and how it is known that it did. See smc/. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { root } from '../support/children';

const run = promisify(execFile);

const built = path.join(root, 'build', 'smc');
/** For LD_PRELOAD: sockets become those of SMC. */
export const smcPreload = path.join(built, 'smc-preload.so');
/** Tells the kernel's SMC what to do, and asks what it did. */
export const smcControl = path.join(built, 'smc-control');

/** What the kernel has counted since it began; of SMC-R alone, but for what went back to TCP. */
export interface SmcStatistics {
  connections: { client: number; server: number };
  bytesSent: number;
  bytesReceived: number;
  fallbacks: { side: 'client' | 'server'; reason: string; count: number }[];
  links: { device: string; address: string; peerAddress: string; connections: number }[];
}

/** Those of the kernel's codes that a host without a fitting device or peer meets. */
const reasons: Record<string, string> = {
  '0x02010000': 'the RDMA link was not confirmed in time',
  '0x03010000': 'the peer has no SMC',
  '0x03030000': 'no RDMA device',
  '0x03030002': 'no RDMA device',
  '0x05000000': 'the peer declined',
};

export async function buildSmc(): Promise<void> {
  const folder = path.join(root, 'benchmarks', 'hosts', 'smc');
  await run('make', ['-s', '-C', folder], { env: { ...process.env, MAKEFLAGS: '' } });
}

export async function smcStatistics(): Promise<SmcStatistics> {
  return JSON.parse((await run(smcControl, ['show'])).stdout) as SmcStatistics;
}

function fallbackCounts({ fallbacks }: SmcStatistics): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { side, reason, count } of fallbacks) {
    if (side === 'client') counts.set(reason, (counts.get(reason) ?? 0) + count);
  }
  return counts;
}

/**
 * Why what a client did between two looks was not, or not all, on SMC-R; undefined if it was.
 *
 * @param bytes that it sent at least
 */
export function whyNotSmc(
  before: SmcStatistics,
  after: SmcStatistics,
  bytes: number,
): string | undefined {
  const earlier = fallbackCounts(before);
  for (const [reason, count] of fallbackCounts(after)) {
    if (count > (earlier.get(reason) ?? 0)) {
      return `it fell back to TCP: ${reasons[reason] ?? 'code'} (${reason})`;
    }
  }
  if (after.connections.client <= before.connections.client) return 'no connection was on SMC-R';
  const sent = after.bytesSent - before.bytesSent;
  if (sent < bytes) return `only ${sent} of ${bytes} bytes went over SMC-R`;
  return undefined;
}

/**
 * Why SMC-R is not even to be tried with the software RDMA of a kernel. Before SMC sends the first
 * message over a queue pair it asks for its state, and the older rxe says that it is reset: the
 * handshake fails, and then waits for ever for receives that were never completed.
 */
export function whyNoSmcOn(release: string): string | undefined {
  const [major = 0, minor = 0] = release.split('.').map(Number);
  if (major > 6 || (major === 6 && minor >= 12)) return undefined;
  return `software RDMA of kernel ${release} does not tell the state of queue pairs: 6.12 does`;
}
