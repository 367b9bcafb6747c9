/** Connecting as a program would, with the time that each step takes. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import net from 'node:net';
import type { LookupFunction, Socket } from 'node:net';
import { unmapped } from '../address';
import { peers } from '../connect';
import type { AttemptMessage, FallbackMessage } from '../diagnostics';
import { info } from '../info';
import type { TransportName } from '../mode';
import type { ConnectionInfo } from '../connection-info';
import type { Handshake } from '../native';
import type { Reason } from '../reasons';
import { leave } from './leave';

/** One step of connecting. */
export interface Step {
  readonly address: string;
  readonly transport: TransportName;
  /**
   * `open` libraries and devices, resolve the `address` and the `route`, make the `device` ready, and
   * the `answer` of the peer. `connect` is all of it, where it cannot be told apart. `tls` comes after
   * it. `skip`: it was not even tried. `fail`: up to when it was known that it is not to be had.
   */
  readonly step:
    'open' | 'address' | 'route' | 'device' | 'answer' | 'connect' | 'tls' | 'skip' | 'fail';
  readonly milliseconds: number;
  /** With `skip` and `fail`. */
  readonly reason: Reason | null;
}

/** An error of net, with what RDMA said. */
export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly cause: string | null;
}

/** What a socket ran on, once connected. */
export interface Outcome extends Partial<Omit<ConnectionInfo, 'counters'>> {
  readonly transport: TransportName;
  readonly address: string;
  /** From the call of connect, without the look-up of the name. */
  readonly milliseconds: number;
  /** Of the handshake: there and back once, with what the peer needs in between. */
  readonly roundTripMilliseconds: number | null;
  /** Why it is TCP. */
  readonly reason: Reason | null;
}

/** How a trial ended. */
export interface Trial {
  readonly steps: readonly Step[];
  readonly outcome: Outcome | null;
  readonly failure: Failure | null;
  /** What a program would remember of the peer now, and for how long it would go to TCP at once. */
  readonly remembered: Reason | null;
}

/** Where to connect, and how. */
export interface TrialOptions {
  readonly host: string;
  readonly port: number;
  readonly addresses: readonly string[];
  readonly isTls: boolean;
  readonly timeoutMs: number;
}

/** Describes what an error of net says; an AggregateError says it for each address. */
export function describeFailure(error: Error): Failure {
  const errors = error instanceof AggregateError ? (error.errors as Error[]) : [error];
  const messages = errors.map(({ message }) => message);
  const cause = errors.map((one) => one.cause).find((one) => one instanceof Error);
  return {
    code: (error as NodeJS.ErrnoException).code ?? error.name,
    message: messages.join('; '),
    cause: cause?.message ?? null,
  };
}

/** Gives the addresses that have been looked up already. */
export function lookupOf(addresses: readonly string[]): LookupFunction {
  const all = addresses.map((address) => ({ address, family: net.isIP(address) }));
  return (_host, options, callback) => {
    process.nextTick(() => {
      if (options.all === true) callback(null, all);
      else callback(null, all[0]?.address ?? '', all[0]?.family);
    });
  };
}

const STEPS_OF_HANDSHAKE = ['address', 'route', 'device', 'answer'] as const;

/** Puts together the steps from what the channels say. */
class Recorder {
  readonly steps: Step[] = [];
  readonly #socket: Socket;
  /** When what is under way began, by transport. */
  readonly #since = new Map<TransportName, number>();
  /** The transport that has begun and has not ended. */
  #pending: TransportName | undefined;
  #answerMilliseconds: number | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#since.set('tcp', performance.now());
  }

  /** Of the transport that answered last; undefined for TCP. */
  get answerMilliseconds(): number | undefined {
    return this.#answerMilliseconds;
  }

  readonly onAttempt = (message: unknown): void => {
    const { socket, ...attempt } = message as AttemptMessage;
    if (socket !== this.#socket) return;
    const { step, transport, address } = attempt;
    if (step === 'begin') {
      this.#since.set(transport, performance.now());
      if (transport !== 'tcp') this.#pending = transport;
    } else if (step === 'open') this.add(address, transport, 'open');
    else this.#addHandshake(attempt);
  };

  // Who was silent until TCP had connected has no step of its own that says so.
  readonly onFallback = (message: unknown): void => {
    const { socket, reason, address } = message as FallbackMessage;
    if (socket !== this.#socket || this.#pending === undefined) return;
    this.add(address, this.#pending, 'fail', reason);
    this.#pending = undefined;
  };

  /** A step that has taken from the last one of this transport until now. */
  add(
    address: string,
    transport: TransportName,
    step: Step['step'],
    reason: Reason | null = null,
  ): number {
    const nowMs = performance.now();
    const milliseconds = nowMs - (this.#since.get(transport) ?? nowMs);
    this.#since.set(transport, nowMs);
    this.steps.push({ address, transport, step, milliseconds, reason });
    return milliseconds;
  }

  #addHandshake({ address, transport, step, reason, handshake }: Omit<AttemptMessage, 'socket'>) {
    this.#pending = undefined;
    const known = this.#stepsOf(address, transport, handshake ?? {});
    this.steps.push(...known);
    const spent = known.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
    const since = this.#since.get(transport);
    if (since !== undefined) this.#since.set(transport, since + spent);
    if (step === 'fail') {
      this.add(address, transport, since === undefined ? 'skip' : 'fail', reason ?? null);
    } else if (known.length === 0) {
      this.#answerMilliseconds = this.add(address, transport, 'connect');
    } else {
      this.#answerMilliseconds = known.at(-1)?.milliseconds;
    }
  }

  #stepsOf(address: string, transport: TransportName, handshake: Handshake): Step[] {
    return STEPS_OF_HANDSHAKE.flatMap((step) => {
      const microseconds = handshake[`${step}Microseconds`];
      if (microseconds === undefined) return [];
      return [{ address, transport, step, milliseconds: microseconds / 1000, reason: null }];
    });
  }
}

type Tls = typeof import('node:tls');

// Certificates are not what is asked about.
function connectTls(options: net.TcpNetConnectOpts): Socket {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- seldom
  const tls = require('node:tls') as Tls;
  const servername = net.isIP(options.host ?? '') === 0 ? { servername: options.host } : {};
  return tls.connect({ ...options, ...servername, rejectUnauthorized: false } as object);
}

/** What a connection that ends at once does not have to say, and what is said of its address. */
const OMITTED: ReadonlySet<string> = new Set(['counters', 'rule']);

function outcomeOf(socket: Socket, recorder: Recorder, sinceMs: number): Outcome {
  const milliseconds = performance.now() - sinceMs;
  const address = unmapped(socket.remoteAddress ?? '');
  const isTcp = socket.transport === 'tcp';
  const tcpMilliseconds = isTcp ? recorder.add(address, 'tcp', 'connect') : null;
  const { transport = 'tcp', reason, ...all } = info(socket);
  return {
    ...Object.fromEntries(Object.entries(all).filter(([key]) => !OMITTED.has(key))),
    transport,
    address,
    milliseconds,
    roundTripMilliseconds: tcpMilliseconds ?? recorder.answerMilliseconds ?? null,
    reason: reason ?? null,
  };
}

function rememberedOf(addresses: readonly string[], port: number): Reason | null {
  const reasons = addresses.map((address) => peers.recall(unmapped(address), port));
  return reasons.find((reason) => reason !== undefined) ?? null;
}

/** Connects, sends nothing, and closes. Never rejects. */
export async function tryToConnect(options: TrialOptions): Promise<Trial> {
  const { host, port, addresses, isTls, timeoutMs } = options;
  const sinceMs = performance.now();
  const connectOptions = { host, port, lookup: lookupOf(addresses) };
  const socket = isTls ? connectTls(connectOptions) : net.connect(connectOptions);
  const recorder = new Recorder(socket);
  subscribe('rdma-net:attempt', recorder.onAttempt);
  subscribe('rdma-net:fallback', recorder.onFallback);
  let outcome: Outcome | null = null;
  const failure = await new Promise<Failure | null>((resolve) => {
    const timer = setTimeout(() => {
      const message = `nobody answered within ${timeoutMs / 1000} s`;
      resolve({ code: 'ETIMEDOUT', message, cause: null });
    }, timeoutMs);
    socket.once('connect', () => {
      outcome = outcomeOf(socket, recorder, sinceMs);
      if (!isTls) resolve(null);
    });
    socket.once('secureConnect', () => {
      const transport = outcome?.transport ?? 'tcp';
      recorder.add(outcome?.address ?? '', transport, 'tls');
      resolve(null);
    });
    socket.once('error', (error) => {
      resolve(describeFailure(error));
    });
    socket.once('close', () => {
      clearTimeout(timer);
      resolve({ code: 'ECONNRESET', message: 'the peer closed the connection', cause: null });
    });
  });
  unsubscribe('rdma-net:attempt', recorder.onAttempt);
  unsubscribe('rdma-net:fallback', recorder.onFallback);
  await leave(socket);
  return { steps: recorder.steps, outcome, failure, remembered: rememberedOf(addresses, port) };
}
