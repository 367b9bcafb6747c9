/** Who takes part in `npm run bench -- local`. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { LocalWorkload } from './local-workloads';

/** A way for two programs of this machine to talk. */
export interface LocalContestant {
  name: string;
  env: Record<string, string>;
  /** What its sockets have to say that they run on. */
  transport: 'local' | 'tcp';
  takesPartIn(workload: LocalWorkload): boolean;
}

/** Microseconds to look for work before sleeping, for those who have a processor to spare. */
const SPIN_US = 50;

const everything = (): boolean => true;
const local = { RDMA_NET: 'require', RDMA_NET_TRANSPORTS: 'local' };

export const TCP = 'TCP';
export const LOCAL = 'shared memory';
export const SPINNING = `shared memory, spinning ${SPIN_US} us`;

/** Those who take part; `itself` puts TCP into the place of all, to see what a measurement is worth. */
export function localContestants(itself: boolean): LocalContestant[] {
  const tcp = { env: { RDMA_NET: 'off' }, transport: 'tcp' } as const;
  const ours = { env: local, transport: 'local' } as const;
  const spinning = { ...ours, env: { ...local, RDMA_NET_SPIN_US: String(SPIN_US) } };
  const isRoundTrip = ({ figure }: LocalWorkload): boolean => figure === 'round trip';
  return [
    { name: TCP, ...tcp, takesPartIn: everything },
    { name: LOCAL, ...(itself ? tcp : ours), takesPartIn: everything },
    { name: SPINNING, ...(itself ? tcp : spinning), takesPartIn: isRoundTrip },
  ];
}

/** Files of a key and of a certificate that nobody signed, while `use` needs them. */
export async function withCertificate<T>(use: (files: string[]) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'rdma-net-bench-'));
  try {
    const files = ['key.pem', 'certificate.pem'].map((name) => path.join(folder, name));
    const [key = '', certificate = ''] = files;
    await promisify(execFile)('openssl', [
      ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost'],
      ...['-keyout', key, '-out', certificate],
    ]);
    return await use(files);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
