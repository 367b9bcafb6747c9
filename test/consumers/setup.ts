/** What the consumers need and the checkout does not have: packages, certificates, a bundle. */

import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { cachePath } from '../lab/cache';
import { executeOrFail } from '../lab/execute';
import { ensurePackages } from '../lab/packages';
import type { Report } from '../lab/setup';
import { root } from '../rdma/program';
import { databasePackages } from './databases';

/** Where the libraries are installed. */
export const consumersFolder = path.join(root, 'test', 'consumers');
const made = path.join(root, 'build', 'consumers');
const quiet = ['--no-audit', '--no-fund', '--loglevel=error'];

/** Installs the libraries, unless they are there as the lock file wants them. */
async function installLibraries(report: Report): Promise<void> {
  const lock = path.join(consumersFolder, 'package-lock.json');
  const installed = path.join(consumersFolder, 'node_modules', '.installed-lock.json');
  if (existsSync(installed) && readFileSync(installed).equals(readFileSync(lock))) return;
  report('installing the libraries of test/consumers');
  await executeOrFail('npm', ['ci', '--ignore-scripts', ...quiet], { cwd: consumersFolder });
  copyFileSync(lock, installed);
}

const extensions = `
[ca]
basicConstraints = critical, CA:true
[one.test]
subjectAltName = DNS:one.test
[two.test]
subjectAltName = DNS:two.test
[client]
extendedKeyUsage = clientAuth
`;

/** Makes an authority, and certificates for two servers and a client. */
async function makeCertificates(): Promise<void> {
  const file = (name: string): string => path.join(made, `${name}.pem`);
  if (existsSync(file('client'))) return;
  const config = path.join(made, 'extensions');
  writeFileSync(config, extensions);
  const subjects = [
    ['ca', 'ca'],
    ['server', 'one.test'],
    ['other', 'two.test'],
    ['client', 'client'],
  ] as const;
  for (const [name, subject] of subjects) {
    const key = file(`${name}-key`);
    const request = path.join(made, `${name}.csr`);
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    const ask = ['req', '-new', ...curve, '-keyout', key, '-subj', `/CN=${subject}`];
    await executeOrFail('openssl', [...ask, '-out', request]);
    const signer =
      name === 'ca' ? ['-signkey', key] : ['-CA', file('ca'), '-CAkey', file('ca-key')];
    const sign = ['x509', '-req', '-in', request, ...signer, '-days', '3650'];
    const serial = name === 'ca' ? [] : ['-CAcreateserial'];
    const with_ = ['-extfile', config, '-extensions', subject];
    await executeOrFail('openssl', [...sign, ...serial, ...with_, '-out', file(name)]);
  }
}

async function makeBundle(): Promise<void> {
  const entry = path.join(consumersFolder, 'programs', 'bundled.js');
  const output = path.join(made, 'bundle.js');
  if (existsSync(output) && statSync(output).mtimeMs > statSync(entry).mtimeMs) return;
  const options = ['--bundle', '--platform=node', '--log-level=error', `--outfile=${output}`];
  const esbuild = path.join(consumersFolder, 'node_modules', '.bin', 'esbuild');
  await executeOrFail(esbuild, [entry, ...options, '--external:ws', '--external:autocannon']);
}

/**
 * Fetches and makes whatever consumers need; does nothing, quickly, when it is all there.
 *
 * @throws LabUnavailable with the reason, and the remedy where there is one.
 */
export async function setUpLibraries(report: Report): Promise<void> {
  mkdirSync(made, { recursive: true });
  await ensurePackages(['openssl'], report);
  await installLibraries(report);
  await makeCertificates();
  await makeBundle();
}

/** The same, and the servers of databases. */
export async function setUpConsumers(report: Report): Promise<void> {
  await setUpLibraries(report);
  await ensurePackages(databasePackages, report);
}

/** The program `node` of a major version: this one's own, or one that npm installs into the cache. */
export async function nodeOf(major: number, report: Report): Promise<string> {
  if (Number.parseInt(process.versions.node) === major) return process.execPath;
  const place = path.join(cachePath(), '..', 'nodes', String(major));
  const program = path.join(place, 'node_modules', 'node', 'bin', 'node');
  if (!existsSync(program)) {
    report(`installing Node ${major}`);
    mkdirSync(place, { recursive: true });
    await executeOrFail('npm', ['install', '--prefix', place, ...quiet, `node@${major}`]);
  }
  return program;
}
