/**
 * RDMA in memory: an implementation of the native contract (lib/native.ts) whose connections are
 * pairs of bounded buffers in this process. Events come from setImmediate, in batches, never from
 * inside of a call. What can go wrong can be injected.
 */

import {
  EVENT_WORDS,
  EventKind,
  type Binding,
  type ConnectionInfo,
  type Counters,
  type Endpoint,
  type EventsCallback,
  type Transport,
  type TransportOptions,
  type TransportStats,
} from '../../lib/native';
import { Status } from '../../lib/status';

/** How the peer answers a connection request. */
export type Answer =
  /** As its listener says: accepted or refused. */
  | 'normal'
  /** Not at all. */
  | 'silent'
  /** The caller answers with {@link FakeTransport.release}. */
  | 'hold'
  /** Fails with this status. */
  | Status;

interface Listener {
  id: number;
  endpoint: Endpoint;
}

class Connection {
  peer: Connection | undefined;
  /** Bytes that have arrived and were not read. */
  received: Buffer[] = [];
  receivedBytes = 0;
  wantsWritable = false;
  established = false;
  sendClosed = false;
  endAnnounced = false;
  failed = false;
  closed = false;
  counters: Counters = {
    bytesReceived: 0,
    bytesSent: 0,
    bytesReceivedCopied: 0,
    bytesSentCopied: 0,
    messagesReceived: 0,
    messagesSent: 0,
    workRequests: 0,
    creditStalls: 0,
  };

  constructor(
    readonly id: number,
    readonly local: Endpoint,
    readonly remote: Endpoint,
  ) {}
}

const MAX_EVENTS = 64;

function endpoint(address: string, port: number): Endpoint {
  return { address, port, family: address.includes(':') ? 'IPv6' : 'IPv4' };
}

function releasesId(kind: number | undefined): boolean {
  return (
    kind === EventKind.Closed || kind === EventKind.ConnectFailed || kind === EventKind.ListenFailed
  );
}

/** See the top of the file. */
export class FakeTransport implements Transport {
  readonly events = new Int32Array(MAX_EVENTS * EVENT_WORDS);
  /** How requests are answered, by `address#port` or `address`; default normal. */
  readonly answers = new Map<string, Answer>();
  /** Every connection request, as `address#port`. */
  readonly requests: string[] = [];
  /** Bytes a connection can hold that were not read. */
  bufferBytes = 16 * 1024;
  /** Most bytes that one read gives. */
  readBytesMax = Number.MAX_SAFE_INTEGER;
  /** What `establish` returns. */
  establishStatus: Status = Status.Ok;
  /** What `listen` ends with. */
  listenStatus: Status = Status.Ok;
  /** Whether the transport holds the event loop. */
  referenced = false;
  /** Connections that were reset before they were established. */
  vanished = 0;
  /** Calls of {@link FakeTransport.write} that were refused a part. */
  shortWrites = 0;
  /** Whether libraries and devices are open; see {@link finishOpening}. */
  opened = true;

  #nextId = 1;
  #nextPort = 40_000;
  readonly #onEvents: EventsCallback;
  readonly #listeners = new Map<number, Listener>();
  readonly #connections = new Map<number, Connection>();
  readonly #held = new Map<number, Endpoint>();
  #queue: number[][] = [];
  #scheduled: NodeJS.Immediate | undefined;
  #keepAlive: NodeJS.Timeout | undefined;

  constructor(onEvents: EventsCallback) {
    this.#onEvents = onEvents;
  }

  /** Connections that are not closed on both sides. */
  get openConnections(): number {
    return this.#connections.size;
  }

  get openListeners(): number {
    return this.#listeners.size;
  }

  /** Ids of the connections that are open. */
  get connectionIds(): number[] {
    return [...this.#connections.keys()];
  }

  /** Ids of the connection requests that are held. */
  get heldIds(): number[] {
    return [...this.#held.keys()];
  }

  // --- Injection -------------------------------------------------------------------------------

  /** Answers a held request. */
  release(id: number, status: Status = Status.Ok): void {
    const target = this.#held.get(id);
    if (target === undefined) throw new Error(`${id} is not held`);
    this.#held.delete(id);
    if (status === Status.Ok) this.#answerNormally(id, target);
    else this.#failConnect(id, status);
  }

  /** Ends what setting {@link opened} to false has begun. */
  finishOpening(): void {
    this.opened = true;
    for (const id of this.#connections.keys()) this.#post(EventKind.Opened, id);
  }

  farewell(): void {
    for (const id of this.connectionIds) this.close(id);
  }

  isOpen(): boolean {
    return this.opened;
  }

  /** Brings the events that wait now, not in the next turn; from the event loop only. */
  deliverNow(): void {
    clearImmediate(this.#scheduled);
    this.#flush();
  }

  /** Breaks a connection on one side, at once. */
  fail(id: number, status: Status, detail = 0, kind = 0): void {
    const connection = this.#connections.get(id);
    if (connection === undefined) throw new Error(`${id} is not open`);
    connection.failed = true;
    this.#post(EventKind.Failed, id, status, detail, kind);
  }

  // --- The contract ----------------------------------------------------------------------------

  connect(address: string, port: number, localAddress?: string, localPort = 0): number {
    const id = this.#nextId++;
    const target = endpoint(address, port);
    const source = endpoint(localAddress ?? address, localPort > 0 ? localPort : this.#nextPort++);
    this.requests.push(`${address}#${port}`);
    this.#connections.set(id, new Connection(id, source, target));
    const answer = this.answers.get(`${address}#${port}`) ?? this.answers.get(address) ?? 'normal';
    if (answer === 'normal') this.#answerNormally(id, target);
    else if (answer === 'hold') this.#held.set(id, target);
    else if (answer !== 'silent') this.#failConnect(id, answer);
    return id;
  }

  #answerNormally(id: number, target: Endpoint): void {
    if (this.#findListener(target) === undefined) this.#failConnect(id, Status.ConnectionRefused);
    else this.#post(EventKind.Response, id);
  }

  #failConnect(id: number, status: Status): void {
    this.#connections.delete(id);
    this.#post(EventKind.ConnectFailed, id, status);
  }

  #findListener(target: Endpoint): Listener | undefined {
    for (const listener of this.#listeners.values()) {
      const { address, port } = listener.endpoint;
      const any = address === '::' || (address === '0.0.0.0' && target.family === 'IPv4');
      if (port === target.port && (any || address === target.address)) return listener;
    }
    return undefined;
  }

  establish(id: number): Status {
    const connection = this.#connections.get(id);
    if (connection === undefined) return Status.NotConnected;
    if (this.establishStatus !== Status.Ok) return this.establishStatus;
    const listener = this.#findListener(connection.remote);
    if (listener === undefined) return Status.ConnectionReset;
    const accepted = new Connection(this.#nextId++, connection.remote, connection.local);
    this.#connections.set(accepted.id, accepted);
    connection.peer = accepted;
    accepted.peer = connection;
    connection.established = true;
    accepted.established = true;
    this.#post(EventKind.Accepted, accepted.id, listener.id);
    return Status.Ok;
  }

  listen(address: string, port: number, backlog: number): number {
    if (backlog < 1 || backlog > 65_535) return -Status.InvalidArgument;
    const id = this.#nextId++;
    if (this.listenStatus !== Status.Ok) {
      this.#post(EventKind.ListenFailed, id, this.listenStatus);
      return id;
    }
    for (const { endpoint: other } of this.#listeners.values()) {
      if (other.port === port && other.address === address) {
        this.#post(EventKind.ListenFailed, id, Status.AddressInUse);
        return id;
      }
    }
    this.#listeners.set(id, { id, endpoint: endpoint(address, port) });
    this.#post(EventKind.Listening, id);
    return id;
  }

  read(id: number, target: Uint8Array, offset: number, length: number): number {
    const connection = this.#open(id);
    if (offset + length > target.byteLength) throw new RangeError('the read exceeds its target');
    let bytes = 0;
    const most = Math.min(length, this.readBytesMax);
    while (bytes < most) {
      const [first] = connection.received;
      if (first === undefined) break;
      const piece = first.subarray(0, most - bytes);
      target.set(piece, offset + bytes);
      bytes += piece.length;
      if (piece.length === first.length) connection.received.shift();
      else connection.received[0] = first.subarray(piece.length);
    }
    connection.receivedBytes -= bytes;
    connection.counters.bytesReceived += bytes;
    const { peer } = connection;
    if (bytes > 0 && peer?.wantsWritable === true) {
      peer.wantsWritable = false;
      this.#post(EventKind.Writable, peer.id);
    }
    return bytes;
  }

  write(id: number, source: Uint8Array, offset: number, length: number, more: boolean): number {
    const connection = this.#open(id);
    if (offset + length > source.byteLength) throw new RangeError('the write exceeds its source');
    if (length === 0) throw new RangeError('an empty write');
    const { peer } = connection;
    if (connection.failed) return -Status.ConnectionReset;
    if (connection.sendClosed) return -Status.InvalidArgument;
    if (peer === undefined || peer.closed) return -Status.BrokenPipe;
    const taken = Math.min(length, this.bufferBytes - peer.receivedBytes);
    if (taken > 0) {
      peer.received.push(Buffer.from(source.subarray(offset, offset + taken)));
      peer.receivedBytes += taken;
      connection.counters.bytesSent += taken;
      // What is held back for more is not seen by the peer before that has come.
      if (!more || taken < length) this.#post(EventKind.Readable, peer.id, peer.receivedBytes);
    }
    if (taken < length) {
      connection.wantsWritable = true;
      connection.counters.creditStalls++;
      this.shortWrites++;
    }
    return taken;
  }

  shutdown(id: number): Status {
    const connection = this.#open(id);
    if (connection.failed) return Status.NotConnected;
    connection.sendClosed = true;
    this.#announceEnd(connection.peer);
    this.#post(EventKind.ShutdownDone, id);
    return Status.Ok;
  }

  #announceEnd(peer: Connection | undefined): void {
    if (peer === undefined || peer.endAnnounced || peer.closed || peer.failed) return;
    peer.endAnnounced = true;
    this.#post(EventKind.End, peer.id);
  }

  close(id: number): void {
    if (this.#listeners.delete(id)) {
      this.#post(EventKind.Closed, id);
      return;
    }
    this.#leave(id, (peer) => {
      this.#announceEnd(peer);
      if (peer.wantsWritable) {
        peer.wantsWritable = false;
        this.#post(EventKind.Writable, peer.id);
      }
    });
  }

  reset(id: number): void {
    this.#held.delete(id);
    this.#leave(id, (peer) => {
      if (peer.failed) return;
      peer.failed = true;
      this.#post(EventKind.Failed, peer.id, Status.ConnectionReset);
    });
  }

  #leave(id: number, tell: (peer: Connection) => void): void {
    // It may have failed by itself, and nobody knows yet.
    if (this.#queue.some(([kind, other]) => other === id && releasesId(kind))) return;
    const connection = this.#connections.get(id);
    if (connection === undefined || connection.closed) throw new Error(`${id} is not open`);
    connection.closed = true;
    this.#connections.delete(id);
    if (!connection.established) this.vanished++;
    if (connection.peer?.closed === false) tell(connection.peer);
    this.#post(EventKind.Closed, id);
  }

  #open(id: number): Connection {
    const connection = this.#connections.get(id);
    if (connection === undefined) throw new Error(`${id} is not open`);
    return connection;
  }

  localEndpoint(id: number): Endpoint | undefined {
    return this.#connections.get(id)?.local;
  }

  remoteEndpoint(id: number): Endpoint | undefined {
    return this.#connections.get(id)?.remote;
  }

  info(id: number): ConnectionInfo | undefined {
    const connection = this.#connections.get(id);
    if (connection === undefined) return undefined;
    return {
      device: 'fake0',
      devicePort: 1,
      localGid: '::',
      remoteGid: '::',
      queuePairNumber: id,
      remoteQueuePairNumber: connection.peer?.id ?? 0,
      mtu: 1024,
      peer: 'rdma-net',
      features: [],
      counters: { ...connection.counters },
    };
  }

  stats(): TransportStats {
    return {
      connections: this.#connections.size,
      listeners: this.#listeners.size,
      queuePairs: this.#connections.size,
      pinnedBytes: 0,
      wakeUps: 0,
      completions: 0,
      counters: new Connection(0, endpoint('', 0), endpoint('', 0)).counters,
    };
  }

  openError(): string {
    return '';
  }

  setRef(ref: boolean): void {
    this.referenced = ref;
    clearInterval(this.#keepAlive);
    // Holds the event loop as an active handle of libuv would.
    if (ref) this.#keepAlive = setInterval(() => undefined, 2 ** 30);
  }

  // --- Events ----------------------------------------------------------------------------------

  #post(kind: EventKind, id: number, a = 0, b = 0, c = 0): void {
    this.#queue.push([kind, id, a, b, c, 0]);
    this.#scheduled ??= setImmediate(this.#flush);
  }

  readonly #flush = (): void => {
    this.#scheduled = undefined;
    const batch = this.#queue
      .splice(0, MAX_EVENTS)
      .filter(([kind, id]) => this.#isWanted(kind, id));
    batch.forEach((record, index) => {
      this.events.set(record, index * EVENT_WORDS);
    });
    if (this.#queue.length > 0) this.#scheduled ??= setImmediate(this.#flush);
    if (batch.length > 0) this.#onEvents(batch.length);
  };

  // What was posted before the other side closed the id must not come after.
  #isWanted(kind: number | undefined, id: number | undefined): boolean {
    if (id === undefined || releasesId(kind)) return true;
    return this.#connections.has(id) || this.#listeners.has(id);
  }
}

/** A binding with one transport, which can be had before it is made. */
export class FakeBinding implements Binding {
  readonly hasVerbs = true;
  /** What `probe` returns. */
  status: Status = Status.Ok;
  probes = 0;
  transport: FakeTransport | undefined;
  options: TransportOptions | undefined;
  /** Called with the transport when it is made. */
  onTransport: ((transport: FakeTransport) => void) | undefined;

  probe(): Status {
    this.probes++;
    return this.status;
  }

  createTransport(onEvents: EventsCallback, options: TransportOptions): Transport {
    if (this.transport !== undefined) throw new Error('one transport an environment');
    this.options = options;
    this.transport = new FakeTransport(onEvents);
    this.onTransport?.(this.transport);
    return this.transport;
  }
}
