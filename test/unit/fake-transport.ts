/**
 * RDMA or shared memory in memory: an implementation of the native contract (lib/native.ts) whose
 * connections are pairs of bounded buffers in this process. Events come from setImmediate, in
 * batches, never from inside of a call. What can go wrong can be injected.
 */

import {
  EventKind,
  InfoNumber,
  NOT_IN_PLACE,
  type Endpoint,
  type EventsCallback,
  type FabricName,
  type Handshake,
  type Place,
  type Transport,
  type TransportStats,
} from '../../lib/native';
import { Status } from '../../lib/native-status';
import { noCounters } from '../../lib/stats';
import { isLoopback, unmapped } from '../../lib/address';
import { Connection } from './fake-connection';
import { FakeEvents } from './fake-events';
import { FakeMemory } from './fake-memory';
import { FakeWire } from './fake-wire';

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

/** Held back for more at most, in bytes. */
const HOLD_BYTES_MAX = 64 * 1024;

// As a device, it knows no IPv4 addresses inside of IPv6 ones.
function endpoint(asked: string, port: number): Endpoint {
  const address = unmapped(asked);
  return { address, port, family: address.includes(':') ? 'IPv6' : 'IPv4' };
}

/** See the top of the file. */
export class FakeTransport implements Transport {
  readonly events: Int32Array;
  readonly copiesWrites: boolean;
  /** How requests are answered, by `address#port` or `address`; default normal. */
  readonly answers = new Map<string, Answer>();
  /** Every connection request, as `address#port`. */
  readonly requests: string[] = [];
  /** Every question of the local transport, as `address#port`, and what is not of this host. */
  readonly lookUps: string[] = [];
  readonly foreignAddresses = new Set<string>();
  /** Bytes a connection can hold that were not read. */
  bufferBytes = 16 * 1024;
  /** Fewest bytes that arrive in a slab of their own where the reader wants them in place. */
  slabBytesMin = 4096;
  /** Writes in place that a connection takes until the device has read one. */
  inPlaceMax = 4;
  /** Whether devices read no more memory of the program; see {@link resumeDevices}. */
  stalled = false;
  /** Whether memory is overwritten as soon as the device has read it. */
  scribbles = false;
  /** Calls of {@link flush}. */
  flushes = 0;
  /** What {@link setKeepAlive} was told, by connection. */
  readonly keepAlives = new Map<number, number>();
  readonly memory = new FakeMemory();
  /** Most bytes that one read gives. */
  readBytesMax = Number.MAX_SAFE_INTEGER;
  /** What `establish` returns. */
  establishStatus: Status = Status.Ok;
  /** What `listen` ends with. */
  listenStatus: Status = Status.Ok;
  /** The option of every call of `listen`. */
  readonly ipv6Only: boolean[] = [];
  /** Calls of {@link register}. */
  registered = 0;
  /** Whether the transport holds the event loop. */
  referenced = false;
  /** Connections that were reset before they were established. */
  vanished = 0;
  /** Calls of {@link FakeTransport.write} that were refused a part. */
  shortWrites = 0;
  /** Whether libraries and devices are open; see {@link finishOpening}. */
  opened = true;

  readonly #fabric: FabricName;
  #nextId = 1;
  #nextPort = 40_000;
  readonly #wire = new FakeWire(this, (kind, id, a) => {
    this.#events.post(kind, id, a);
  });
  readonly #events: FakeEvents;
  readonly #listeners = new Map<number, Listener>();
  readonly #connections = new Map<number, Connection>();
  readonly #held = new Map<number, Endpoint>();
  #keepAlive: NodeJS.Timeout | undefined;

  /** Ids count from 1 in every transport, so that those of two of them meet. */
  constructor(onEvents: EventsCallback, fabric: FabricName) {
    this.#fabric = fabric;
    this.copiesWrites = fabric === 'local';
    this.#events = new FakeEvents(
      onEvents,
      (id) => this.#connections.has(id) || this.#listeners.has(id),
    );
    this.events = this.#events.records;
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
    for (const id of this.#connections.keys()) this.#events.post(EventKind.Opened, id);
  }

  farewell(): void {
    for (const id of this.connectionIds) this.close(id);
  }

  isOpen(): boolean {
    return this.opened;
  }

  /** Brings the events that wait now, not in the next turn; from the event loop only. */
  deliverNow(): void {
    this.#events.deliverNow();
  }

  /** Ends what setting {@link stalled} to true has begun. */
  resumeDevices(): void {
    this.stalled = false;
    this.#wire.resume();
  }

  /** Whether JavaScript wants to read in place. */
  readsInPlace(id: number): boolean {
    return this.#open(id).readsInPlace;
  }

  /** Breaks a connection on one side, at once. */
  fail(id: number, status: Status, detail = 0, kind = 0): void {
    const connection = this.#connections.get(id);
    if (connection === undefined) throw new Error(`${id} is not open`);
    connection.failed = true;
    connection.wire = [];
    this.#events.post(EventKind.Failed, id, status, detail, kind);
  }

  // --- The contract ----------------------------------------------------------------------------

  connect(address: string, port: number, localAddress?: string, localPort = 0): number {
    const target = endpoint(address, port);
    const atOnce = this.#refusal(target);
    if (atOnce !== Status.Ok) return -atOnce;
    const id = this.#nextId++;
    const source = endpoint(localAddress ?? address, localPort > 0 ? localPort : this.#nextPort++);
    this.requests.push(`${address}#${port}`);
    this.#connections.set(id, new Connection(id, source, target));
    const answer = this.#answerOf(target) ?? 'normal';
    if (answer === 'normal') this.#answerNormally(id, target);
    else if (answer === 'hold') this.#held.set(id, target);
    else if (answer !== 'silent') this.#failConnect(id, answer);
    return id;
  }

  #answerOf({ address, port }: Endpoint): Answer | undefined {
    return this.answers.get(`${address}#${port}`) ?? this.answers.get(address);
  }

  // What shared memory knows at once, unless the test has an answer of its own.
  #refusal(target: Endpoint): Status {
    if (this.#fabric === 'verbs') return Status.Ok;
    const { address, port } = target;
    this.lookUps.push(`${address}#${port}`);
    if (!isLoopback(address) || this.foreignAddresses.has(address)) return Status.NoRoute;
    return this.#mayAnswer(target) ? Status.Ok : Status.ConnectionRefused;
  }

  #mayAnswer(target: Endpoint): boolean {
    return this.#answerOf(target) !== undefined || this.#findListener(target) !== undefined;
  }

  placeOf(address: string, port: number): Place | undefined {
    const isHere = isLoopback(address) && !this.foreignAddresses.has(address);
    return this.#fabric === 'local' && isHere ? endpoint(address, port) : undefined;
  }

  mayListen(place: Place): boolean {
    const target = place as Endpoint;
    this.lookUps.push(`${target.address}#${target.port}`);
    return this.#mayAnswer(target);
  }

  #answerNormally(id: number, target: Endpoint): void {
    if (this.#findListener(target) === undefined) this.#failConnect(id, Status.ConnectionRefused);
    else this.#events.post(EventKind.Response, id);
  }

  #failConnect(id: number, status: Status): void {
    this.#connections.delete(id);
    this.#events.post(EventKind.ConnectFailed, id, status);
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
    this.#events.post(EventKind.Accepted, accepted.id, listener.id);
    return Status.Ok;
  }

  listen(address: string, port: number, backlog: number, ipv6Only = false): number {
    this.ipv6Only.push(ipv6Only);
    if (backlog < 1 || backlog > 65_535) return -Status.InvalidArgument;
    const id = this.#nextId++;
    if (this.listenStatus !== Status.Ok) {
      this.#events.post(EventKind.ListenFailed, id, this.listenStatus);
      return id;
    }
    for (const { endpoint: other } of this.#listeners.values()) {
      if (other.port === port && other.address === address) {
        this.#events.post(EventKind.ListenFailed, id, Status.AddressInUse);
        return id;
      }
    }
    this.#listeners.set(id, { id, endpoint: endpoint(address, port) });
    this.#events.post(EventKind.Listening, id);
    return id;
  }

  read(id: number, target: Uint8Array, offset: number, length: number): number {
    const connection = this.#open(id);
    if (offset + length > target.byteLength) throw new RangeError('the read exceeds its target');
    const most = Math.min(length, this.readBytesMax);
    const bytes = connection.read(target.subarray(offset, offset + most));
    if (bytes > 0) this.#wire.makeRoom(connection.peer);
    return bytes;
  }

  readInPlace(id: number): ArrayBuffer | undefined {
    const connection = this.#open(id);
    const slab = connection.takeSlab();
    if (slab === undefined) return undefined;
    this.memory.addSlab(slab);
    this.#wire.makeRoom(connection.peer);
    return slab;
  }

  setReadInPlace(id: number, wanted: boolean): void {
    const connection = this.#open(id);
    if (connection.readsInPlace === wanted) throw new Error('nothing changes');
    connection.readsInPlace = wanted;
  }

  write(id: number, source: Uint8Array, offset: number, length: number, more: boolean): number {
    const connection = this.#open(id);
    const status = this.#whyNoWrite(connection, source, offset, length);
    const { peer } = connection;
    if (status !== Status.Ok || peer === undefined) return -status;
    const room = this.bufferBytes - peer.receivedBytes - connection.outgoingBytes;
    const taken = Math.max(0, Math.min(length, room));
    if (taken > 0) connection.hold(Buffer.from(source.subarray(offset, offset + taken)));
    if (taken < length) {
      connection.wantsWritable = true;
      connection.counters.creditStalls++;
      this.shortWrites++;
    }
    const heldBytes = connection.held.reduce((sum, { source: { length } }) => sum + length, 0);
    // What is held back for more is not seen by the peer before that has come.
    if (!more || taken < length || heldBytes >= HOLD_BYTES_MAX) this.#wire.send(connection);
    return taken;
  }

  writeInPlace(
    id: number,
    source: Uint8Array,
    offset: number,
    length: number,
    registration: number,
  ): number {
    const connection = this.#open(id);
    const status = this.#whyNoWrite(connection, source, offset, length);
    if (status !== Status.Ok) return -status;
    if (!this.memory.isReadable(source, registration)) return NOT_IN_PLACE;
    if (connection.inPlaceCount >= this.inPlaceMax) {
      connection.wantsWritable = true;
      return 0;
    }
    connection.postInPlace(source.subarray(offset, offset + length));
    this.#wire.send(connection);
    return length;
  }

  #whyNoWrite(connection: Connection, source: Uint8Array, offset: number, length: number): Status {
    if (offset + length > source.byteLength) throw new RangeError('the write exceeds its source');
    if (length <= 0) throw new RangeError('an empty write');
    if (connection.failed) return Status.ConnectionReset;
    if (connection.sendClosed) return Status.InvalidArgument;
    if (connection.peer === undefined || connection.peer.closed) return Status.BrokenPipe;
    return Status.Ok;
  }

  free(buffer: ArrayBufferLike): void {
    structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });
  }

  flush(id: number): void {
    this.flushes++;
    this.#wire.send(this.#open(id));
  }

  register(buffer: ArrayBuffer): number {
    this.registered++;
    return this.memory.register(buffer);
  }

  unregister(registration: number): void {
    this.memory.unregister(registration);
  }

  setKeepAlive(id: number, intervalMs: number): void {
    this.#open(id);
    this.keepAlives.set(id, intervalMs);
  }

  shutdown(id: number): Status {
    const connection = this.#open(id);
    if (connection.failed) return Status.NotConnected;
    connection.sendClosed = true;
    this.#wire.whenSent(connection, () => {
      this.#announceEnd(connection.peer);
      this.#events.post(EventKind.ShutdownDone, id);
    });
    return Status.Ok;
  }

  #announceEnd(peer: Connection | undefined): void {
    if (peer === undefined || peer.endAnnounced || peer.closed || peer.failed) return;
    peer.endAnnounced = true;
    this.#events.post(EventKind.End, peer.id);
  }

  retire(id: number): boolean {
    this.close(id);
    return false;
  }

  close(id: number): void {
    if (this.#listeners.delete(id)) {
      this.#events.post(EventKind.Closed, id);
      return;
    }
    const connection = this.#forget(id);
    if (connection === undefined) return;
    this.#wire.whenSent(connection, () => {
      this.#leave(connection, (peer) => {
        this.#announceEnd(peer);
        this.#wire.makeRoom(peer);
      });
    });
  }

  reset(id: number): void {
    this.#held.delete(id);
    const connection = this.#forget(id);
    if (connection === undefined) return;
    connection.held = [];
    connection.wire = [];
    this.#leave(connection, (peer) => {
      if (peer.failed) return;
      peer.failed = true;
      this.#events.post(EventKind.Failed, peer.id, Status.ConnectionReset);
    });
  }

  #forget(id: number): Connection | undefined {
    // It may have failed by itself, and nobody knows yet.
    if (this.#events.isReleased(id)) return undefined;
    const connection = this.#connections.get(id);
    if (connection === undefined || connection.closed) throw new Error(`${id} is not open`);
    connection.closed = true;
    this.#connections.delete(id);
    if (!connection.established) this.vanished++;
    return connection;
  }

  #leave(connection: Connection, tell: (peer: Connection) => void): void {
    const { peer } = connection;
    if (peer?.closed === false) tell(peer);
    else this.#wire.makeRoom(peer);
    this.#events.post(EventKind.Closed, connection.id);
  }

  #open(id: number): Connection {
    const connection = this.#connections.get(id);
    if (connection === undefined) throw new Error(`${id} is not open`);
    return connection;
  }

  /** Those over RDMA took a microsecond a step; one that was refused had no answer. */
  handshake(id: number): Handshake | undefined {
    if (this.#fabric === 'local') return {};
    const steps = { addressMicroseconds: 1, routeMicroseconds: 1, deviceMicroseconds: 1 };
    return this.#connections.has(id) ? { ...steps, answerMicroseconds: 1 } : steps;
  }

  localEndpoint(id: number): Endpoint | undefined {
    return this.#connections.get(id)?.local;
  }

  remoteEndpoint(id: number): Endpoint | undefined {
    return this.#connections.get(id)?.remote;
  }

  inspect(id: number, numbers: Float64Array): string | undefined {
    const connection = this.#connections.get(id);
    if (connection === undefined) return undefined;
    numbers.fill(0);
    numbers[InfoNumber.PeerHasExtension] = 1;
    for (const [name, count] of Object.entries(connection.counters)) {
      const place = `${name.charAt(0).toUpperCase()}${name.slice(1)}`;
      numbers[InfoNumber[place as keyof typeof InfoNumber]] = count as number;
    }
    if (this.#fabric === 'local') return 'shm';
    numbers[InfoNumber.DevicePort] = 1;
    numbers[InfoNumber.QueuePairNumber] = id;
    numbers[InfoNumber.RemoteQueuePairNumber] = connection.peer?.id ?? 0;
    numbers[InfoNumber.MtuBytes] = 1024;
    return 'fake0 :: ::';
  }

  stats(): TransportStats {
    return {
      connections: this.#connections.size,
      listeners: this.#listeners.size,
      queuePairs: this.#connections.size,
      pinnedBytes: this.memory.bytes,
      slabBytes: 0,
      slabBytesUsed: 0,
      registrations: this.memory.count,
      registrationsMade: this.memory.made,
      wakeUps: 0,
      completions: 0,
      counters: noCounters(),
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

  runSoon(): void {
    this.#events.runSoon();
  }
}
