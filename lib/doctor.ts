/** `rdma-net doctor`: whether RDMA can be used here, and what is missing. */

import { AsyncResource } from 'node:async_hooks';
import { readFileSync, readdirSync } from 'node:fs';
import { RdmaError } from './errors';
import { tcpClass } from './internals';
import { readEnvironment, settings } from './mode';
import { EventKind, type DetailKind } from './native';
import { reasonCodeOf, reasonFor, type Reason } from './reasons';
import { internalsDiffer } from './self-check';
import type { Status } from './status';
import {
  adopt,
  openTransport,
  release,
  retain,
  theBinding,
  theTransport,
  unavailable,
  type EventSink,
} from './transport';

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

/** Opens a listener, as a server would, and with it libraries and devices; then closes it. */
class Trial implements EventSink {
  readonly scope = new AsyncResource('RDMADOCTOR');
  readonly #done: (failure: Reason | undefined) => void;

  constructor(done: (failure: Reason | undefined) => void) {
    this.#done = done;
    const id = theTransport().listen('0.0.0.0', 0, 1);
    if (id < 0) {
      done(reasonFor(reasonCodeOf(-id as Status)));
      return;
    }
    adopt(id, this);
    retain();
  }

  handleEvent(kind: EventKind, id: number, a: number, b: number, c: number): void {
    if (kind === EventKind.Listening) {
      theTransport().close(id);
      return;
    }
    release();
    if (kind === EventKind.Closed) this.#done(undefined);
    else {
      const failure = new RdmaError(a as Status, b, c as DetailKind);
      const detail = openTransport()?.openError() ?? '';
      this.#done(reasonFor(reasonCodeOf(failure.status), detail === '' ? failure.message : detail));
    }
  }
}

/**
 * Looks at everything that RDMA needs. Opens libraries, devices and a listener; connects to nobody.
 * @throws {ConfigurationError} when the environment has a mistake
 */
export async function doctor(): Promise<Diagnosis> {
  readEnvironment(process.env);
  const devices = describeDevices();
  const binding = process.platform === 'linux' ? theBinding() : undefined;
  const early = whyNoInternals() ?? unavailable();
  const reason = early ?? (await new Promise<Reason | undefined>((done) => new Trial(done)));
  const off = settings.mode === 'off';
  const lines = [
    line(reason?.code !== 'platform', 'system', `${process.platform} ${process.arch}`),
    line(reason?.code !== 'node-internals', 'node', process.version),
    line(!off, 'mode', settings.mode),
    line(binding !== undefined, 'addon', binding === undefined ? 'not loaded' : 'loaded'),
    line(binding?.hasVerbs === true, 'verbs', binding?.hasVerbs === true ? 'built in' : 'missing'),
    line(devices.length > 0, 'devices', devices.length > 0 ? devices.join('; ') : 'none'),
    ...(early === undefined
      ? [line(reason === undefined, 'trial', reason?.text ?? 'listened')]
      : []),
    line(true, 'memlock', describeMemoryLock()),
  ];
  const final = off ? reasonFor('mode-off') : reason;
  const usable = final === undefined;
  lines.push('', usable ? 'Sockets will use RDMA to peers that can.' : 'Sockets will use TCP.');
  if (final !== undefined) lines.push(`${final.code}: ${final.text} ${final.detail}`.trim());
  if (final !== undefined && final.fix !== '') lines.push(`Fix: ${final.fix}`);
  return { lines, usable };
}
