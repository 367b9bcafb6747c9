/** One listener beside the TCP listener of a server: over RDMA, or over shared memory. */

import { AsyncResource } from 'node:async_hooks';
import type { Server, Socket } from 'node:net';
import { acceptChannel, debug, listenChannel } from './diagnostics';
import { RdmaError } from './errors';
import { StreamHandle } from './handle';
import { noteListening, noteNotListening } from './info';
import { ownerOf, serverInside, type TcpHandle } from './internals';
import { EventKind, Sharing, type DetailKind } from './native';
import type { Status } from './native-status';
import { reasonFor } from './reasons';
import { rootedScope } from './scope';
import type { EventSink, FabricTransport } from './transport';

/** Where a server listens over TCP, and how. */
export interface Place {
  readonly server: Server;
  readonly handle: TcpHandle;
  readonly address: string;
  readonly port: number;
  /** Connection requests that may wait. */
  readonly backlog: number;
  readonly ipv6Only: boolean;
  /** Whether other processes listen there too. */
  readonly sharing: Sharing;
  /** Whether these are the workers of a cluster. */
  readonly inCluster: boolean;
}

/** Ports at which listeners over shared memory are open in this environment, and how many. */
const localPorts = new Map<number, number>();

/** Whether a server of this environment can be reached over shared memory at a port. */
export function listensHere(port: number): boolean {
  return localPorts.has(port);
}

function countPort(port: number, change: 1 | -1): void {
  const count = (localPorts.get(port) ?? 0) + change;
  if (count > 0) localPorts.set(port, count);
  else localPorts.delete(port);
}

/** Follows the TCP handle of its server: opened after it, closed with it. */
export class Listener implements EventSink {
  readonly scope = new AsyncResource('RDMASERVER');
  readonly transport: FabricTransport;
  readonly #place: Place;
  readonly #onconnection: TcpHandle['onconnection'];
  readonly #onSettled: (listener: Listener) => void;
  /** -1 when it is not open, or no longer. */
  #id = -1;
  #isOpen = false;
  /** Whether the server is kept from being closed, for connections that are under way. */
  #isRetiring = false;
  #failure: RdmaError | undefined;

  /** @param onSettled called when it is open, and when it has failed */
  constructor(transport: FabricTransport, place: Place, onSettled: (listener: Listener) => void) {
    this.transport = transport;
    this.#place = place;
    this.#onconnection = place.handle.onconnection;
    this.#onSettled = onSettled;
  }

  /** Why it could not be opened, or has died. */
  get failure(): RdmaError | undefined {
    return this.#failure;
  }

  get server(): Server {
    return this.#place.server;
  }

  /** Whether connections can come. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  open(): void {
    const { address, port, backlog, ipv6Only, sharing } = this.#place;
    const id = this.transport.native.listen(address, port, backlog, ipv6Only, sharing);
    if (id < 0) {
      this.#fail(new RdmaError(-id as Status));
      return;
    }
    this.#id = id;
    this.transport.adopt(id, this);
  }

  close(): void {
    if (this.#id < 0) return;
    const { server, sharing } = this.#place;
    if (sharing !== Sharing.Member) this.transport.native.close(this.#id);
    else if (this.transport.native.retire(this.#id)) this.#retire();
    this.#id = -1;
    this.#setOpen(false);
    noteNotListening(server, this.transport.name, undefined);
  }

  // The clients may know already that they are connected. Over TCP a worker that closes its server
  // loses no connection: another one has it. Here that is too late.
  #retire(): void {
    this.#isRetiring = true;
    serverInside(this.#place.server)._connections++;
  }

  #onClosed(): void {
    if (!this.#isRetiring) return;
    this.#isRetiring = false;
    const fields = serverInside(this.#place.server);
    fields._connections--;
    fields._emitCloseIfDrained();
  }

  handleEvent(kind: EventKind, id: number, a: number, b: number, c: number): void {
    if (kind === EventKind.Accepted) this.#onAccepted(id);
    else if (kind === EventKind.Closed) this.#onClosed();
    else if (this.#id < 0) return;
    else if (kind === EventKind.Listening) this.#onListening();
    else if (kind === EventKind.ListenFailed) {
      this.#id = -1;
      this.#setOpen(false);
      this.#fail(new RdmaError(a as Status, b, c as DetailKind));
    }
  }

  #setOpen(open: boolean): void {
    if (this.#isOpen !== open && this.transport.name === 'local') {
      countPort(this.#place.port, open ? 1 : -1);
    }
    this.#isOpen = open;
  }

  #onListening(): void {
    const { server, address, port, sharing } = this.#place;
    const transport = this.transport.name;
    if (sharing === Sharing.Dispatcher) {
      debug('%s:%d is there for workers over %s', address, port, transport);
      return;
    }
    if (!this.#isOurs()) {
      this.close();
      return;
    }
    this.#setOpen(true);
    noteListening(server, transport);
    debug('%s:%d can be reached over %s', address, port, transport);
    if (listenChannel.hasSubscribers) listenChannel.publish({ server, address, port, transport });
    this.#onSettled(this);
  }

  // The primary of a cluster takes the handle away from the server that opened it, to give the
  // connections to its workers: it cannot do that with ours, and the workers listen themselves.
  #isOurs(): boolean {
    const { server, handle } = this.#place;
    return serverInside(server)._handle === handle && handle.onconnection === this.#onconnection;
  }

  #onAccepted(id: number): void {
    const { server, handle: tcp, address, port } = this.#place;
    if (!this.#isRetiring && (this.#id < 0 || !this.#isOurs())) {
      this.close();
      this.transport.native.reset(id);
      return;
    }
    // The context of an accepted TCP socket is not that of the code that called listen either.
    const handle = new StreamHandle(this.transport, id, rootedScope('RDMASTREAM'), address);
    this.transport.adopt(id, handle);
    if (debug.enabled) {
      debug('%s:%d has a connection over %s', address, port, this.transport.name);
    }
    this.#onconnection?.call(tcp, 0, handle);
    if (acceptChannel.hasSubscribers) {
      const socket = ownerOf(handle) as Socket | undefined;
      acceptChannel.publish({ server, socket, transport: this.transport.name });
    }
  }

  #fail(failure: RdmaError): void {
    const { status, message } = failure;
    const { server, address, port } = this.#place;
    const { name } = this.transport;
    this.#failure = failure;
    this.transport.blockAfter(status, message);
    noteNotListening(server, name, reasonFor(this.transport.reasonCodeOf(status), message));
    debug('%s:%d cannot be reached over %s: %s', address, port, name, message);
    this.#onSettled(this);
  }
}
