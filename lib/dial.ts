/** The transports that a socket can try before TCP, one after the other, and why they failed. */

import type { Socket } from 'node:net';
import { isLoopback, isUnspecified, unmapped } from './address';
import { ownsLoopback } from './binding';
import { attemptChannel, debug, type AttemptStep } from './diagnostics';
import { RdmaError, RdmaUnavailableError } from './errors';
import type { ConnectMethod, ConnectRequest, TcpHandle } from './internals';
import { settings, type TransportName } from './mode';
import { DetailKind, type Handshake } from './native';
import { Status } from './native-status';
import type { PeerMemory } from './peers';
import type { Plan } from './plan';
import { reasonFor, type Reason, type ReasonCode } from './reasons';
import { internalsDiffer } from './self-check';
import { canSwap } from './swap';
import { rdmaTransport, transportNamed, type FabricTransport } from './transport';

/** What net.js asked for when it called `connect` of a TCP handle. */
export interface ConnectCall {
  readonly socket: Socket;
  readonly handle: TcpHandle;
  /** The method of Node that was caught. */
  readonly original: ConnectMethod;
  readonly request: ConnectRequest;
  readonly address: string;
  readonly port: number;
  /** When the method was called, on the clock of performance.now(). */
  readonly sinceMs: number;
}

/** A connection that has been begun. */
export interface Dialed {
  readonly transport: FabricTransport;
  readonly id: number;
}

/** What is known of peers that were connected to before. */
export interface Memories {
  /** Peers without RDMA. */
  readonly peers: PeerMemory;
  /** Servers of this host that let clients wait. */
  readonly slowServers: PeerMemory;
}

/** Why a transport is out for this socket. */
interface Obstacle {
  readonly reason: Reason;
  /** What the native side returned, when it was asked. */
  readonly status: Status | undefined;
  readonly error: RdmaError | undefined;
  /** How far it came, if somebody wants to know. */
  readonly handshake?: Handshake | undefined;
}

/** Why no transport could even be tried, where that holds for other sockets too. */
export interface CommonOutcome {
  readonly reason: Reason;
  /** Whether it came out that nobody of this host listens there, which may change at any time. */
  readonly refusedHere: boolean;
  /** On the clock of performance.now(). */
  readonly untilMs: number;
}

/** How long what was found out about an address is not looked at again, in milliseconds. */
const OUTCOME_MS = 1000;

/** What {@link Dial.trace} tells besides. */
type Traced = Partial<Pick<Obstacle, 'reason' | 'handshake'>>;

/** Failures that hold for one port of the peer; others that are the peer's hold for its address. */
const portStatuses: ReadonlySet<Status> = new Set<Status>([
  Status.ConnectionRefused,
  Status.ConnectionRejected,
  Status.IncompatiblePeer,
]);

const addressStatuses: ReadonlySet<Status> = new Set<Status>([
  Status.NoRoute,
  Status.HostUnreachable,
  Status.TimedOut,
  Status.RetriesExceeded,
]);

/**
 * What the head start is longer for a program of this host. That it listens is known; if it does not
 * answer, its event loop is busy, and with TCP the program would not serve the connection sooner. One
 * that did not answer in all that time may have been stopped, and has it only once.
 */
const BUSY_MS = 1000;

// A handle that is bound although net.js was not told an address has been bound from outside.
function whyNotThisSocket({ socket, handle, request }: ConnectCall): Reason | undefined {
  if (!canSwap(socket, handle)) return reasonFor('tls-while-connecting');
  if (request.localAddress !== undefined || request.localPort !== undefined) return undefined;
  return handle.getsockname({}) === 0 ? reasonFor('bound-socket') : undefined;
}

/**
 * The order of trying, unless a rule has another: shared memory, which tells at once whether somebody
 * on this host listens there, then RDMA. Most connections of most programs go elsewhere over TCP, so
 * that the first must cost no more than that question.
 *
 * Failures of shared memory are not remembered: asking again costs nothing, and a server may start
 * at any time. They are the reason that is recorded, for where they count the peer is on this host.
 */
export class Dial {
  readonly #call: ConnectCall;
  readonly #memories: Memories;
  /** The address as the memories know it. */
  readonly #address: string;
  readonly #plan: Plan;
  #tried = 0;
  #askedAgain = false;
  #local: Obstacle | undefined;
  #rdma: Obstacle | undefined;
  #refusedHere = false;
  /** See {@link whyNotThisSocket}; null until that was asked. */
  #againstSocket: Reason | undefined | null = null;
  /** See {@link CommonOutcome}; 0 once something was decided for this socket alone. */
  #untilMs: number;

  constructor(call: ConnectCall, memories: Memories, plan: Plan) {
    this.#call = call;
    this.#memories = memories;
    this.#address = unmapped(call.address);
    this.#plan = plan;
    this.#untilMs = call.sinceMs + OUTCOME_MS;
    // That shared memory is not to be used is no news: seldom would the peer be on this host.
    const reason = plan.transports.includes('rdma') ? undefined : rdmaTransport.offReason;
    if (reason !== undefined) this.#rdma = { reason, status: undefined, error: undefined };
  }

  /** Whether TCP is out of the question. */
  get isRequired(): boolean {
    return this.#plan.mode === 'require';
  }

  /** Begins to connect over the next transport that takes it. */
  next(): Dialed | undefined {
    for (;;) {
      const name = this.#plan.transports[this.#tried++];
      if (name === undefined) return undefined;
      const transport = transportNamed(name);
      const id = this.#connect(transport);
      if (id !== undefined) return { transport, id };
    }
  }

  /** Tells who watches how connecting goes on. */
  trace(step: AttemptStep, transport: TransportName, { reason, handshake }: Traced = {}): void {
    if (!attemptChannel.hasSubscribers) return;
    const { socket, address, port } = this.#call;
    attemptChannel.publish({ socket, address, port, transport, step, reason, handshake });
  }

  /** How far a connection came, if somebody wants to know. */
  handshakeOf(transport: FabricTransport, id: number): Handshake | undefined {
    return attemptChannel.hasSubscribers ? transport.native.handshake(id) : undefined;
  }

  /** Puts down that a connection which had been begun has failed. */
  fail(
    transport: FabricTransport,
    error: RdmaError,
    code?: ReasonCode,
    handshake?: Handshake,
  ): void {
    const { status, message } = error;
    const reason = reasonFor(code ?? transport.reasonCodeOf(status), message);
    this.#note(transport, { reason, status, error, handshake });
    transport.blockAfter(status, message);
    if (transport.name === 'rdma') this.#remember(error);
    // It was asked over a link to a program that listened there before. By now another server may:
    // asking again leads to that one, and is answered at once if there is none.
    else if (status === Status.ConnectionRefused && !this.#askedAgain) {
      this.#askedAgain = true;
      this.#tried = this.#plan.transports.indexOf(transport.name);
    }
  }

  /** Why the socket goes to TCP, when all has failed. */
  get reason(): Reason {
    if (this.#plan.reason !== undefined) return this.#plan.reason;
    const local = this.#local?.reason;
    const rdma = this.#rdma;
    if (local === undefined) return rdma?.reason ?? reasonFor('connection-failed');
    if (rdma?.error === undefined) return local;
    return reasonFor(local.code, `${rdma.reason.code}: ${rdma.error.message}`);
  }

  /** Why {@link next} began nothing at all, if the same would happen to other sockets. */
  get commonOutcome(): CommonOutcome | undefined {
    // Rules look at the name that was asked for, and at TLS.
    if (this.#plan.mode !== 'prefer' || settings.rules.length > 0) return undefined;
    const { reason } = this;
    return { reason, refusedHere: this.#refusedHere, untilMs: this.#untilMs };
  }

  /** The same as an error for mode `require`, and its status. */
  get failure(): { readonly error: RdmaError | RdmaUnavailableError; readonly status: Status } {
    if (this.#plan.reason !== undefined) {
      const error = new RdmaUnavailableError(this.#plan.reason);
      return { error, status: Status.PermissionDenied };
    }
    const obstacle = this.#rdma?.error === undefined ? (this.#local ?? this.#rdma) : this.#rdma;
    const reason = obstacle?.reason ?? this.reason;
    if (obstacle?.status !== undefined) {
      const { status } = obstacle;
      const error = obstacle.error ?? new RdmaError(status, 0, DetailKind.None, reason.text);
      return { error, status };
    }
    const isGeneral = rdmaTransport.unavailable(true) !== undefined;
    const status = isGeneral ? rdmaTransport.unavailableStatus : Status.NoRoute;
    return { error: new RdmaUnavailableError(reason), status };
  }

  /** How long this transport is tried alone. */
  headStartMs(transport: FabricTransport): number {
    if (transport.name === 'rdma') return settings.headStartMs;
    const isSlow = this.#memories.slowServers.recall(this.#address, this.#call.port) !== undefined;
    return settings.headStartMs + (isSlow ? 0 : BUSY_MS);
  }

  /** Forgets that the peer had failed or been silent: it does answer. */
  succeed(transport: FabricTransport): void {
    const { peers, slowServers } = this.#memories;
    (transport.name === 'rdma' ? peers : slowServers).forget(this.#address, this.#call.port);
  }

  /** TCP has connected or failed, and the peer has not answered over this transport. */
  noteSilence(transport: FabricTransport, code: ReasonCode = 'peer-silent'): Reason {
    const { peers, slowServers } = this.#memories;
    if (transport.name === 'local') {
      const reason = reasonFor('local-slow');
      slowServers.remember(this.#address, this.#call.port, reason);
      return reason;
    }
    peers.remember(this.#address, undefined, reasonFor(code, 'remembered'));
    return reasonFor(code);
  }

  #connect(transport: FabricTransport): number | undefined {
    const { address, port, request } = this.#call;
    const before = this.#whyNot(transport) ?? this.#open(transport);
    if (before !== undefined) {
      // Whether another address is of this host is known to the local transport only.
      const counts = transport.name === 'rdma' || this.#staysHere();
      if (counts) this.#note(transport, { reason: before, status: undefined, error: undefined });
      return undefined;
    }
    const { localAddress, localPort } = request;
    const id = transport.native.connect(address, port, localAddress, localPort ?? 0);
    if (transport.name === 'rdma') {
      this.#untilMs = 0;
      if (id >= 0) return id;
      this.fail(transport, new RdmaError(-id as Status));
      return undefined;
    }
    if (id < 0) {
      this.#noteLocalStatus(transport, -id as Status);
      return undefined;
    }
    this.#untilMs = 0;
    const reason = internalsDiffer() ?? this.#whyNotThisSocket();
    if (reason === undefined) return id;
    transport.native.reset(id);
    this.#note(transport, { reason, status: undefined, error: undefined });
    return undefined;
  }

  // In order of cost; nothing here waits.
  #whyNot(transport: FabricTransport): Reason | undefined {
    // What else could be wrong is looked at when somebody listens: seldom.
    if (transport.name === 'local') return this.#unavailable(transport);
    if (this.#staysHere() && !ownsLoopback()) return reasonFor('loopback');
    return (
      this.#remembered() ??
      this.#unavailable(transport) ??
      internalsDiffer() ??
      this.#forThisSocketAlone(this.#whyNotThisSocket())
    );
  }

  // Once, for a second transport may be tried when TCP has begun and has bound the handle.
  #whyNotThisSocket(): Reason | undefined {
    if (this.#againstSocket === null) this.#againstSocket = whyNotThisSocket(this.#call);
    return this.#againstSocket;
  }

  #remembered(): Reason | undefined {
    if (this.isRequired) return undefined;
    const known = this.#memories.peers.lookUp(this.#address, this.#call.port);
    if (known !== undefined) this.#untilMs = Math.min(this.#untilMs, known.expiresMs);
    return known?.reason;
  }

  #unavailable(transport: FabricTransport): Reason | undefined {
    const reason = transport.unavailable(this.isRequired);
    if (reason !== undefined) {
      this.#untilMs = Math.min(this.#untilMs, transport.unavailableUntilMs);
    }
    return reason;
  }

  #open(transport: FabricTransport): Reason | undefined {
    return this.#forThisSocketAlone(transport.open());
  }

  #forThisSocketAlone(reason: Reason | undefined): Reason | undefined {
    if (reason !== undefined) this.#untilMs = 0;
    return reason;
  }

  // To the kernel, a connection to "any" address is one to loopback.
  #staysHere(): boolean {
    return isLoopback(this.#address) || isUnspecified(this.#address);
  }

  // No error is made for it: its stack would cost more than all the rest.
  #noteLocalStatus(transport: FabricTransport, status: Status): void {
    if (status === Status.NoRoute) return;
    const reason = reasonFor(transport.reasonCodeOf(status));
    this.#note(transport, { reason, status, error: undefined });
    if (status === Status.ConnectionRefused) {
      this.#refusedHere = true;
      return;
    }
    this.#untilMs = 0;
    transport.blockAfter(status, '');
  }

  #note(transport: FabricTransport, obstacle: Obstacle): void {
    if (debug.enabled) {
      const { address, port } = this.#call;
      const { code, detail } = obstacle.reason;
      debug('%s:%d not over %s: %s %s', address, port, transport.name, code, detail);
    }
    if (transport.name === 'local') this.#local = obstacle;
    else this.#rdma = obstacle;
    this.trace('fail', transport.name, obstacle);
  }

  #remember({ status, message }: RdmaError): void {
    if (this.isRequired) return;
    const { peers } = this.#memories;
    const reason = reasonFor(rdmaTransport.reasonCodeOf(status), `remembered: ${message}`);
    if (portStatuses.has(status)) peers.remember(this.#address, this.#call.port, reason);
    else if (addressStatuses.has(status)) peers.remember(this.#address, undefined, reason);
  }
}
