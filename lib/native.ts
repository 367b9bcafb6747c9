/**
 * The whole native surface: what `binding/napi` exports, and nothing else of the package may know.
 *
 * The native side returns a {@link Status}; TypeScript makes errors of it (`errors.ts`). Results of
 * a batch travel through {@link Transport.events}, one call of {@link EventsCallback} a wake-up.
 */

import type { Status } from './native-status';

/** Int32 words a record in {@link Transport.events} takes: `[kind, id, a, b, c, d]`. */
export const EVENT_WORDS = 6;

/** Kinds of event records; the words `a`..`d` are 0 where not named. */
export const EventKind = {
  /** The peer accepted. Decide now: {@link Transport.establish} or {@link Transport.reset}. */
  Response: 1,
  /** The connection could not be made: a = {@link Status}, b = detail, c = {@link DetailKind}.
   * The id is already released. */
  ConnectFailed: 2,
  /** A listener has a new, established connection: id = the connection, a = the listener. */
  Accepted: 3,
  /** Bytes can be read: a = how many in total. */
  Readable: 4,
  /** After a short write: there is room again. */
  Writable: 5,
  /** The peer will send no more; all it sent has been announced by `Readable` before. */
  End: 6,
  /** All bytes and the shutdown have been taken by the peer's device. */
  ShutdownDone: 7,
  /** The connection broke: a = {@link Status}, b = detail, c = {@link DetailKind}. What was
   * announced as readable can still be read. The id stays until it is closed. */
  Failed: 8,
  /** After {@link Transport.close} or {@link Transport.reset}: nothing is left; the id is free. */
  Closed: 9,
  /** The listener is open. */
  Listening: 10,
  /** The listener could not be opened, or died: a = {@link Status}, b = detail, c = kind. The id is
   * already released. */
  ListenFailed: 11,
  /** For connections begun while {@link Transport.isOpen} was false: it is true now. */
  Opened: 12,
  /** Writes in place are complete, their memory is no longer needed: a = how many of those taken by
   * {@link Transport.writeInPlace}, in order, since the last such event; b = how many of these, the
   * last ones, were not all sent because the peer has closed. */
  Sent: 13,
} as const;
export type EventKind = (typeof EventKind)[keyof typeof EventKind];

/** Whether a listener has its address and port to itself. */
export const Sharing = {
  Alone: 0,
  /** Others of that kind may listen there too, in other processes, and connections go to one after
   * the other of them. */
  Member: 1,
  /** Gets none of these connections, but may be who sends them to the members. */
  Dispatcher: 2,
} as const;
export type Sharing = (typeof Sharing)[keyof typeof Sharing];

/** What the detail word of a failure is. */
export const DetailKind = {
  None: 0,
  /** A (positive) errno of a librdmacm or libibverbs call. */
  Errno: 1,
  /** `rdma_cm_event.status` of the event that failed the connection, as the CM gave it. */
  CmStatus: 2,
  /** `enum ibv_wc_status` of the completion that broke the connection. */
  CompletionStatus: 3,
  /** What the peer did against the protocol: see `binding/stream/wire.h`, `enum class Violation`. */
  Violation: 4,
} as const;
export type DetailKind = (typeof DetailKind)[keyof typeof DetailKind];

/** An endpoint as `net` shows it. */
export interface Endpoint {
  address: string;
  port: number;
  family: 'IPv4' | 'IPv6';
}

/**
 * Counters of one connection, or of all that there have been. Bytes are of the byte stream, without
 * protocol.
 */
export interface Counters {
  /** Bytes that have arrived, also such as the program has not read yet. */
  bytesReceived: number;
  /** Bytes that have been given to the device, or written into the memory of the peer. */
  bytesSent: number;
  /** Bytes copied out of receive memory. */
  bytesReceivedCopied: number;
  /** Bytes handed over to the program in the memory where they arrived; RDMA only. */
  bytesReceivedInPlace: number;
  /** Bytes copied into send memory first. */
  bytesSentCopied: number;
  /**
   * Bytes sent from where the program has them: read there by the device, or, over shared memory,
   * copied once, into the memory of the peer.
   */
  bytesSentInPlace: number;
  /** Data messages that have arrived; a message has up to 1 MiB, 64 KiB from a C program. */
  messagesReceived: number;
  /** Data messages that were sent. */
  messagesSent: number;
  /** Work requests posted to the send queue: data, credit updates, control, memory windows. */
  workRequests: number;
  /** Times that sending had to wait for the peer: for credits, or for a receive buffer. */
  creditStalls: number;
}

/** Where {@link Transport.inspect} writes what; a test compares them with those in C++. */
export const InfoNumber = {
  /** 0 where a connection has no such port, and nothing of what a port has. */
  DevicePort: 0,
  QueuePairNumber: 1,
  RemoteQueuePairNumber: 2,
  MtuBytes: 3,
  /** Whether the peer has sent our extension block, and whether it ends buffers: 0 or 1. */
  PeerHasExtension: 4,
  PeerEndsBuffers: 5,
  BytesReceived: 6,
  BytesSent: 7,
  BytesReceivedCopied: 8,
  BytesReceivedInPlace: 9,
  BytesSentCopied: 10,
  BytesSentInPlace: 11,
  MessagesReceived: 12,
  MessagesSent: 13,
  WorkRequests: 14,
  CreditStalls: 15,
} as const;

/**
 * How long the steps of connecting took, one after the other, as far as they were done. Shared memory
 * has no such steps.
 */
export interface Handshake {
  /** From when libraries and devices were open: to find the device that leads to the address. */
  addressMicroseconds?: number;
  /** To find the route to the peer, after that. */
  routeMicroseconds?: number;
  /** To make the device ready, with a queue pair. */
  deviceMicroseconds?: number;
  /** From the request to the answer: there, through the peer, and back. */
  answerMicroseconds?: number;
}

/** What a transport holds in total. */
export interface TransportStats {
  /** Connections there are now, in whatever state. */
  connections: number;
  /** Listeners there are now. */
  listeners: number;
  /** Queue pairs there are now; for shared memory, ends of connections. */
  queuePairs: number;
  /** Registered memory of every kind, in bytes; for shared memory, what peers can write to. */
  pinnedBytes: number;
  /** Of these, bytes of slabs, large pieces of memory for receiving: all of the pools. */
  slabBytes: number;
  /** Of these, bytes of slabs that a connection or a Buffer of the program has. */
  slabBytesUsed: number;
  /** Registrations of the program's own memory for sending that there are now. */
  registrations: number;
  /** Registrations of the program's own memory that have been made so far. */
  registrationsMade: number;
  /** How often the event loop was woken up for this transport. */
  wakeUps: number;
  /** Completions polled so far; for shared memory, messages. */
  completions: number;
  /** Sums of the counters of all connections, closed ones included. */
  counters: Counters;
}

export interface TransportOptions {
  /** Bytes of receive memory a peer that streams may have at once, 64 KiB to 64 MiB. */
  receiveBufferBytes?: number;
  /** Bytes of send memory a busy connection has, 4 KiB to 64 MiB. */
  sendBufferBytes?: number;
  /** Registered memory of this environment, in bytes, 1 MiB to 1 PiB. */
  pinnedBytesMax?: number;
  /** Connections of this environment, at least 1. */
  queuePairsMax?: number;
  /** How long to look for news before sleeping, in microseconds, 0 (not at all) to 1000. */
  spinMicroseconds?: number;
}

/** What {@link Transport.writeInPlace} returns when the bytes must be copied. */
export const NOT_IN_PLACE = -1000;
/** What it returns when all bytes were taken, to be copied as there is room. */
export const KEPT = -1001;
/** What it returns when all bytes were taken and are not needed any more: no `Sent` follows. */
export const SENT = -1002;

/**
 * Called on the loop thread with the number of records in {@link Transport.events}. When it returns
 * true, or {@link Transport.runSoon} was asked, it is called with 0 from outside of every callback
 * scope: whatever C++ of Node calls back from there has its ticks and microtasks run at once.
 */
export type EventsCallback = (count: number) => boolean;

/** What moves the bytes: RDMA by librdmacm and libibverbs, or shared memory of this host. */
export type FabricName = 'verbs' | 'local';

/** See {@link Transport.placeOf}. Only the native side knows what is in it. */
export type Place = object;

/**
 * One fabric for one Node environment: opened libraries, CM channel, devices, connections,
 * listeners. Connections and listeners are small integers from one id space, and each transport has
 * its own. No call blocks, none throws for a condition of the network. Nothing is called back from
 * inside a call: events come from the loop.
 */
export interface Transport {
  /** Event records, rewritten before each {@link EventsCallback}. */
  readonly events: Int32Array;

  /** True when sending copies in any case, so that {@link register} is of no use. */
  readonly copiesWrites: boolean;

  /**
   * Starts connecting; `Response` or `ConnectFailed` follows. The local transport knows at once, and
   * in microseconds, where that makes no sense: Status.NoRoute for an address that is not of this
   * host, Status.ConnectionRefused when nobody listens there.
   * @param address numeric IPv4 or IPv6 address, the latter with `%scope` where it needs one
   * @param localAddress numeric source address, or undefined for any
   * @param localPort source port, 0 for any
   * @returns the id (>= 0) or a negated {@link Status}
   */
  connect(address: string, port: number, localAddress?: string, localPort?: number): number;

  /**
   * Where somebody of this host would listen for connections to an address; undefined when it is not
   * of this host, and for the verbs fabric. It can be kept as long as the address stays there.
   */
  placeOf(address: string, port: number): Place | undefined;

  /**
   * Whether somebody may listen at a place: if not, {@link connect} would return
   * Status.ConnectionRefused, and take longer.
   */
  mayListen(place: Place): boolean;

  /**
   * Completes an accepted connect: from now on data flows. Until then the peer's program has not
   * seen the connection, and {@link reset} lets it vanish.
   * @returns Status.Ok, or why it could not be (then `Closed` must still be waited for after close)
   */
  establish(id: number): Status;

  /**
   * Opens a listener; `Listening` or `ListenFailed` follows, then `Accepted` for each connection.
   * @param backlog connection requests the CM may queue, 1 to 65535
   * @param ipv6Only whether a listener on `::` is not for IPv4; the verbs fabric cannot do that, and
   *   ignores it
   * @param sharing whether other processes may listen there too; the verbs fabric cannot share, and
   *   ignores it
   * @returns the id (>= 0) or a negated {@link Status}
   */
  listen(
    address: string,
    port: number,
    backlog: number,
    ipv6Only: boolean,
    sharing: Sharing,
  ): number;

  /** Copies up to `length` readable bytes into `target` at `offset`; returns how many. */
  read(id: number, target: Uint8Array, offset: number, length: number): number;

  /**
   * The next readable bytes where they lie, if they may be handed over: the peer cannot write there
   * any more, and the memory is used again only when the ArrayBuffer has been collected.
   * @returns undefined when the next bytes are to be had with {@link read} only
   */
  readInPlace(id: number): ArrayBuffer | undefined;

  /**
   * Whether {@link readInPlace} is going to be asked; true at first. What has arrived before may
   * still have to be copied.
   */
  setReadInPlace(id: number, wanted: boolean): void;

  /**
   * Copies bytes into send memory and sends them.
   * @param more true when another write, or {@link flush}, follows: the last bytes (less than
   *   64 KiB) may wait for it
   * @returns bytes taken, 0..length (`Writable` follows when fewer), or a negated {@link Status}
   */
  write(id: number, source: Uint8Array, offset: number, length: number, more: boolean): number;

  /**
   * Sends bytes from where they are: received ones that {@link readInPlace} gave, or such as lie in
   * a registered ArrayBuffer. Others, when there is no room for
   * all of them at once, are kept and copied by and by. The caller must not
   * change them until `Sent` has counted this write; freeing or transferring their ArrayBuffer does
   * no harm.
   * @param registration what {@link register} returned for the ArrayBuffer of `source`, or 0
   * @returns `length` when taken, 0 when there is no room (`Writable` follows),
   *   {@link KEPT} when taken to be copied, {@link SENT} when sent at once, {@link NOT_IN_PLACE} when
   *   they may as well be copied at once, or cannot be kept, or a negated {@link Status}
   */
  writeInPlace(
    id: number,
    source: Uint8Array,
    offset: number,
    length: number,
    registration: number,
  ): number;

  /**
   * Frees the memory of an ArrayBuffer that nobody else has, which is detached then: sooner than
   * collection would.
   */
  free(buffer: ArrayBufferLike): void;

  /** Sends what `write` held back for more. */
  flush(id: number): void;

  /**
   * Begins to register all of an ArrayBuffer (not shared, not resizable, not detached) for sending;
   * its memory is kept, even if the ArrayBuffer is collected, detached or transferred, until
   * {@link unregister}.
   * @returns an id (> 0) for {@link writeInPlace}, or 0 when it cannot be registered
   */
  register(buffer: ArrayBuffer): number;
  unregister(registration: number): void;

  /** Sends a keepalive when nothing was sent for so long, in milliseconds; 0 stops it. */
  setKeepAlive(id: number, intervalMs: number): void;

  /** Half-closes the sending side, after all bytes taken so far; `ShutdownDone` or `Failed`. */
  shutdown(id: number): Status;

  /** Sends what was taken, disconnects, releases; `Closed` follows. For listeners too. */
  close(id: number): void;

  /**
   * Has a listener take no more requests.
   * @returns false when none is under way, and it was closed; else they still come as `Accepted`,
   *   and `Closed` follows when none is left
   */
  retire(id: number): boolean;

  /** Drops what was not sent and lets the peer see a reset; `Closed` follows. */
  reset(id: number): void;

  localEndpoint(id: number): Endpoint | undefined;
  remoteEndpoint(id: number): Endpoint | undefined;
  /**
   * Writes what is known of a connection into `numbers`, by {@link InfoNumber}; see connection-info.ts.
   * @returns the name of its device and, where it has some, the GIDs of this side and of the peer, with
   *   blanks between; undefined when there is no such connection
   */
  inspect(id: number, numbers: Float64Array): string | undefined;
  /** Of a connection that was begun here; also while `ConnectFailed` is being told. */
  handshake(id: number): Handshake | undefined;
  stats(): TransportStats;

  /**
   * Whether libraries and devices have been opened, which the first connection or listener begins:
   * until then connecting may take some tens of milliseconds more.
   */
  isOpen(): boolean;

  /** Text of the last failure to open libraries or devices, '' if none. */
  openError(): string;

  /**
   * For the end of the process: closes everything, and blocks until what was taken has been sent,
   * as the kernel would go on to do for TCP. No event follows.
   * @param timeoutMs how long at most, in milliseconds
   */
  farewell(timeoutMs: number): void;

  /** Whether the transport keeps the event loop alive; it does not at first. */
  setRef(ref: boolean): void;

  /** Has {@link EventsCallback} called with 0 in the next turn of the loop. */
  runSoon(): void;
}

export interface Binding {
  /** True when built with the headers of rdma-core, so that it has the verbs fabric. */
  readonly hasVerbs: boolean;
  /**
   * Whether a fabric could be had here at all, looked up in microseconds without opening a library.
   * RDMA: Status.Ok, Status.NotBuilt, Status.NoDevice, or Status.PermissionDenied.
   */
  probe(fabric: FabricName): Status;
  /**
   * At most one transport of a fabric an environment; it is torn down with the environment.
   * @throws when the process has no descriptors or memory left for it, or an option is out of range
   */
  createTransport(
    fabric: FabricName,
    onEvents: EventsCallback,
    options: TransportOptions,
  ): Transport;
}
