/** `rdma-net doctor`: whether RDMA can be used here, and what is missing. */

import { readFileSync, readdirSync } from 'node:fs';
import { tcpClass } from './internals';
import { readEnvironment, settings } from './mode';
import { reasonFor, reasons, type Reason } from './reasons';
import { internalsDiffer } from './self-check';
import { openTransport, theBinding, theTransport, unavailable } from './transport';

/** What the doctor has to say. */
export interface Diagnosis {
  lines: string[];
  /** Whether sockets would use RDMA. */
  usable: boolean;
}

const DEVICES = '/sys/class/infiniband';

function line(ok: boolean, name: string, text: string): string {
  return `${ok ? 'ok  ' : 'FAIL'}  ${name.padEnd(10)} ${text}`;
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return undefined;
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function describeDevices(): string[] {
  return list(DEVICES).map((device) => {
    const ports = list(`${DEVICES}/${device}/ports`).map((port) => {
      const state = readText(`${DEVICES}/${device}/ports/${port}/state`) ?? 'state unknown';
      return `port ${port} ${state.replace(/^\d+: /, '')}`;
    });
    return `${device} (${ports.join(', ')})`;
  });
}

function describeMemoryLock(): string {
  const limits = readText('/proc/self/limits') ?? '';
  const match = /^Max locked memory\s+(\S+)/m.exec(limits);
  if (match?.[1] === undefined) return 'unknown';
  return match[1] === 'unlimited' ? match[1] : `${match[1]} bytes`;
}

function whyNoInternals(): Reason | undefined {
  if (process.platform !== 'linux') return reasonFor('platform', process.platform);
  try {
    tcpClass();
  } catch (error) {
    return reasonFor('permission-model', error instanceof Error ? error.message : '');
  }
  return internalsDiffer();
}

// Opens the libraries, which unavailable() does not.
function whyNoTransport(): string {
  try {
    theTransport();
    return openTransport()?.openError() ?? '';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/**
 * Looks at everything that RDMA needs. Opens the libraries, connects to nobody.
 * @throws {ConfigurationError} when the environment has a mistake
 */
export function doctor(): Diagnosis {
  readEnvironment(process.env);
  const devices = describeDevices();
  const binding = process.platform === 'linux' ? theBinding() : undefined;
  const reason = whyNoInternals() ?? unavailable();
  const openError = reason === undefined ? whyNoTransport() : '';
  const off = settings.mode === 'off';
  const lines = [
    line(reason?.code !== 'platform', 'system', `${process.platform} ${process.arch}`),
    line(reason?.code !== 'node-internals', 'node', process.version),
    line(!off, 'mode', settings.mode),
    line(binding !== undefined, 'addon', binding === undefined ? 'not loaded' : 'loaded'),
    line(binding?.hasVerbs === true, 'verbs', binding?.hasVerbs === true ? 'built in' : 'missing'),
    line(devices.length > 0, 'devices', devices.length > 0 ? devices.join('; ') : 'none'),
    line(openError === '', 'libraries', openError === '' ? 'no complaint' : openError),
    line(true, 'memlock', describeMemoryLock()),
  ];
  const final = off ? reasonFor('mode-off') : reason;
  const usable = final === undefined && openError === '';
  lines.push('', usable ? 'Sockets will use RDMA to peers that can.' : 'Sockets will use TCP.');
  if (final !== undefined) lines.push(`${final.code}: ${final.text} ${final.detail}`.trim());
  if (final !== undefined && reasons[final.code].fix !== '') lines.push(`Fix: ${final.fix}`);
  return { lines, usable };
}
