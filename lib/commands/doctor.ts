/** `rdma-net doctor`: whether RDMA and shared memory can be used here, and what is missing. */

import { AsyncResource } from 'node:async_hooks';
import { readFileSync, readdirSync } from 'node:fs';
import { theBinding } from '../binding';
import { RdmaError } from '../errors';
import { tcpClass } from '../internals';
import { readEnvironment, settings, type FabricTransportName } from '../mode';
import { EventKind, Sharing, type DetailKind } from '../native';
import { describeRule } from '../plan';
import { reasonCodeOf, reasonFor, type Reason } from '../reasons';
import { internalsDiffer } from '../self-check';
import type { Status } from '../status';
import { localTransport, rdmaTransport, type EventSink, type FabricTransport } from '../transport';
import { ExitStatus, type Command } from './command';

/** What the doctor has to say. */
interface Diagnosis {
  lines: string[];
  /** Whether sockets would use RDMA; shared memory, where RDMA is switched off. */
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
    const id = rdmaTransport.native.listen('0.0.0.0', 0, 1, false, Sharing.Alone);
    if (id < 0) {
      done(reasonFor(reasonCodeOf(-id as Status)));
      return;
    }
    rdmaTransport.adopt(id, this);
    rdmaTransport.retain();
  }

  handleEvent(kind: EventKind, id: number, a: number, b: number, c: number): void {
    if (kind === EventKind.Listening) {
      rdmaTransport.native.close(id);
      return;
    }
    rdmaTransport.release();
    if (kind === EventKind.Closed) this.#done(undefined);
    else {
      const failure = new RdmaError(a as Status, b, c as DetailKind);
      const detail = rdmaTransport.native.openError();
      this.#done(reasonFor(reasonCodeOf(failure.status), detail === '' ? failure.message : detail));
    }
  }
}

/** Whether a transport may be used, if only by a rule. */
function isWanted(name: FabricTransportName): boolean {
  const { transports, rules } = settings;
  return [{ transports }, ...rules].some((one) => one.transports.includes(name));
}

function whyNot(transport: FabricTransport, wanted: boolean): Reason | undefined {
  return wanted ? (transport.unavailable() ?? transport.open()) : transport.offReason;
}

/**
 * Looks at everything that the transports need. Opens libraries, devices and a listener; connects to
 * nobody.
 * @throws {ConfigurationError} when the environment has a mistake
 */
async function diagnose(): Promise<Diagnosis> {
  readEnvironment(process.env);
  const devices = describeDevices();
  const binding = process.platform === 'linux' ? theBinding() : undefined;
  const none = settings.mode === 'off' ? reasonFor('mode-off') : whyNoInternals();
  const isLocalWanted = isWanted('local');
  const isRdmaWanted = isWanted('rdma');
  const local = none ?? whyNot(localTransport, isLocalWanted);
  const early = none ?? whyNot(rdmaTransport, isRdmaWanted);
  const rdma = early ?? (await new Promise<Reason | undefined>((done) => new Trial(done)));
  const hasVerbs = binding?.hasVerbs === true;
  const lines = [
    line(none?.code !== 'platform', 'system', `${process.platform} ${process.arch}`),
    line(none?.code !== 'node-internals', 'node', process.version),
    line(none?.code !== 'mode-off', 'mode', settings.mode),
    line(true, 'transports', settings.transports.join(', ')),
    ...settings.rules.map((rule) => line(true, 'rule', describeRule(rule))),
    line(binding !== undefined, 'addon', binding === undefined ? 'not loaded' : 'loaded'),
  ];
  if (isLocalWanted) {
    lines.push(line(local === undefined, 'local', local?.text ?? 'shared memory can be used'));
  }
  if (isRdmaWanted) {
    lines.push(
      line(hasVerbs, 'verbs', hasVerbs ? 'built in' : 'missing'),
      line(devices.length > 0, 'devices', devices.length > 0 ? devices.join('; ') : 'none'),
      ...(early === undefined ? [line(rdma === undefined, 'trial', rdma?.text ?? 'listened')] : []),
      line(true, 'memlock', describeMemoryLock()),
    );
  }
  lines.push('', ...verdict(local, rdma));
  return { lines, usable: (isRdmaWanted ? rdma : local) === undefined };
}

function verdict(local: Reason | undefined, rdma: Reason | undefined): string[] {
  const lines: string[] = [];
  if (local === undefined) lines.push('Sockets will use shared memory to programs on this host.');
  if (rdma === undefined) lines.push('Sockets will use RDMA to peers that can.');
  else lines.push(local === undefined ? 'To others they will use TCP.' : 'Sockets will use TCP.');
  for (const reason of new Set([local, rdma])) {
    // What the user has switched off needs no advice.
    if (reason === undefined || reason.code === 'local-off' || reason.code === 'rdma-off') continue;
    lines.push(`${reason.code}: ${reason.text} ${reason.detail}`.trim());
    if (reason.fix !== '') lines.push(`Fix: ${reason.fix}`);
  }
  return lines;
}

export const doctor: Command = {
  help: `Usage: rdma-net doctor

Tells whether RDMA and shared memory can be used here, and what is missing. Opens libraries, devices
and a listener; connects to nobody. Exits with 1 when sockets would not use RDMA (shared memory,
where RDMA is switched off).`,
  async run() {
    const { lines, usable } = await diagnose();
    console.log(lines.join('\n'));
    return usable ? ExitStatus.Ok : ExitStatus.Trouble;
  },
};
