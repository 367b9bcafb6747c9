import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

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
