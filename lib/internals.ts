/**
 * Everything of Node's inside that rdma-net stands on, behind one door. Nothing else in the package
 * touches `process.binding`, internal symbols or underscore properties without going through here.
 * Read in the sources of Node 20, 22, 24 and 26.
 */

import net from 'node:net';

/** `onread` of a stream handle: called with `this` being the handle. */
export type OnRead = (buffer?: ArrayBufferLike) => unknown;

/** What is common to the handles of net: TCP, and our stream in its place. */
export interface Handle {
  onread: OnRead;
  close(callback?: () => void): void;
  hasRef(): boolean;
  ref(): void;
  unref(): void;
  getsockname(out: object): number;
  getAsyncId(): number;
}

/** `oncomplete` of a connect request, called with `this` being the request. */
export type OnConnectComplete = (
  status: number,
  handle: Handle,
  request: ConnectRequest,
  readable: boolean,
  writable: boolean,
) => void;

/** Node's TCPConnectWrap, as net.js fills it. */
export interface ConnectRequest {
  /** net.js takes it away when the attempt has timed out (happy eyeballs). */
  oncomplete: OnConnectComplete | undefined;
  address: string;
  port: number;
  localAddress?: string | undefined;
  localPort?: number | undefined;
}

/** The original `connect` or `connect6` of a TCP handle. */
export type ConnectMethod = (
  this: TcpHandle,
  request: ConnectRequest,
  address: string,
  port: number,
) => number;

/** Node's TCPWrap. */
export interface TcpHandle extends Handle {
  connect: ConnectMethod;
  connect6: ConnectMethod;
  /** Fills in the address of the peer. @returns 0, or a negative error while there is none */
  getpeername(out: object): number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Set on listening handles by net.js, and replaced by the primary of a cluster. */
  onconnection?: (status: number, handle: object) => void;
}

/** Node's PipeWrap when it listens. */
export interface PipeServer {
  bind(file: string): number;
  listen(backlog: number): number;
  close(): void;
  unref(): void;
  onconnection?: (status: number, client?: Handle) => void;
}

interface TcpConstructor {
  new (type: number): TcpHandle;
  prototype: TcpHandle;
}

/** A request object of Node's C++ side: WriteWrap or ShutdownWrap. */
export type StreamRequest = object;

/** Node's JSStream: a C++ StreamBase whose data comes from JavaScript. */
export interface JSStreamHandle {
  onread: OnRead;
  /** Hands bytes to the reader, be it C++ or JavaScript; copies before it returns. */
  readBuffer(data: Uint8Array): void;
  emitEOF(): void;
  finishWrite(request: StreamRequest, status: number): void;
  finishShutdown(request: StreamRequest, status: number): void;
  /** Makes a request of C++ and calls `onwrite`. Node 26 passes null and gets the request back. */
  writeBuffer(request: StreamRequest | null, data: Uint8Array): StreamRequest | number;
  getAsyncId(): number;
  asyncReset(resource: object): void;
}

type JSStreamConstructor = new () => JSStreamHandle;

/** What a stream handle of ours needs; see {@link streamInternals}. */
export interface StreamInternals {
  JSStream: JSStreamConstructor;
  /** Results of stream calls that do not fit into the return value. */
  streamBaseState: Int32Array;
  kReadBytesOrError: number;
  kArrayBufferOffset: number;
  kBytesWritten: number;
  kLastWriteWasAsync: number;
}

/** What a net.Socket keeps under names that are not public. */
export interface SocketInside {
  _handle: (Handle & { readonly _parent?: Handle }) | null;
  _parent: unknown;
  _server: unknown;
  _sockname: unknown;
  /** The name that was looked up; null for addresses. */
  _host?: string | null;
  _reset(): unknown;
  _undestroy(): void;
  readonly errored: unknown;
}

/** What a net.Server keeps under names that are not public. */
export interface ServerInside {
  /** Taken away when listening failed, and by the primary of a cluster. */
  _handle: TcpHandle | null;
  readonly _pipeName?: string;
  readonly pauseOnConnect: boolean;
  /** How many connections keep it from being closed. */
  _connections: number;
  /** Emits 'close' when nothing keeps it from that any more. */
  _emitCloseIfDrained(): void;
}

/** Signature of `Server.prototype._listen2`, which net.js keeps for code that wraps it. */
export type Listen2 = (
  this: net.Server,
  address: string | null,
  port: number | null,
  addressType: number | null,
  backlog: number,
  fd: number | undefined,
  flags: number | undefined,
) => void;

/** What Node keeps and does not document. */
const nodeProcess = process as unknown as {
  binding(name: string): Record<string, unknown>;
  readonly _getActiveHandles: unknown;
  readonly _tickCallback: unknown;
};

/** The same object, with what it keeps inside. */
export function inside(socket: net.Socket): SocketInside {
  return socket as unknown as SocketInside;
}

/** The same object, with what it keeps inside. */
export function serverInside(server: net.Server): ServerInside {
  return server as unknown as ServerInside;
}

/** Server.prototype with its internal listen method. */
export function serverPrototype(): { _listen2: Listen2 } {
  return net.Server.prototype as unknown as { _listen2: Listen2 };
}

// process.binding is silent by default; under --pending-deprecation it would warn of code that the
// user did not write.
function binding(name: string): Record<string, unknown> {
  const before = process.noDeprecation;
  try {
    process.noDeprecation = true;
    return nodeProcess.binding(name);
  } finally {
    if (before === undefined) Reflect.deleteProperty(process, 'noDeprecation');
    else process.noDeprecation = before;
  }
}

function need(value: unknown, type: string, name: string): unknown {
  if (typeof value === type && value !== null) return value;
  throw new Error(`Node ${process.version} has no ${name} of type ${type}`);
}

let tcp: TcpConstructor | undefined;

/**
 * Node's internal TCP class. Cheap: net has loaded it already.
 * @throws ERR_ACCESS_DENIED under the permission model
 */
export function tcpClass(): TcpConstructor {
  tcp ??= need(binding('tcp_wrap')['TCP'], 'function', 'TCP') as TcpConstructor;
  return tcp;
}

/** Whether a handle is libuv's TCP; by its name where the class may not be looked at. */
export function isTcp(handle: object | null | undefined): handle is TcpHandle {
  if (tcp !== undefined) return handle instanceof tcp;
  return handle?.constructor.name === 'TCP';
}

/** Whether a handle is libuv's pipe, which is a Unix-domain socket too. */
export function isPipe(handle: object | null | undefined): boolean {
  return handle?.constructor.name === 'Pipe';
}

/**
 * A Unix-domain socket to listen at, as net.Server has one inside. Without the server around it nothing
 * of it can be seen, and a worker of a cluster does not ask the primary for it.
 */
export function pipeServer(): PipeServer {
  const state = binding('pipe_wrap');
  const Pipe = need(state['Pipe'], 'function', 'Pipe') as new (type: number) => PipeServer;
  const { SERVER } = need(state['constants'], 'object', 'constants') as { SERVER: number };
  return new Pipe(SERVER);
}

/** What keeps the event loop of this environment alive: sockets, servers, and bare handles. */
export function activeHandles(): object[] {
  const found = need(nodeProcess._getActiveHandles, 'function', 'process._getActiveHandles');
  return (found as () => object[]).call(process);
}

let stream: StreamInternals | undefined;

/** @throws when Node lacks something that is needed */
export function streamInternals(): StreamInternals {
  stream ??= findStreamInternals();
  return stream;
}

function findStreamInternals(): StreamInternals {
  const state = binding('stream_wrap');
  const index = (name: string): number => need(state[name], 'number', name) as number;
  return {
    JSStream: need(binding('js_stream')['JSStream'], 'function', 'JSStream') as JSStreamConstructor,
    streamBaseState: need(state['streamBaseState'], 'object', 'streamBaseState') as Int32Array,
    kReadBytesOrError: index('kReadBytesOrError'),
    kArrayBufferOffset: index('kArrayBufferOffset'),
    kBytesWritten: index('kBytesWritten'),
    kLastWriteWasAsync: index('kLastWriteWasAsync'),
  };
}

interface Symbols {
  owner: symbol;
  asyncId: symbol;
  userBuffer: symbol;
  bufferGenerator: symbol;
  reinitializeHandle: symbol;
}

let symbols: Symbols | undefined;

function symbolOf(object: object, description: string): symbol {
  const found = Object.getOwnPropertySymbols(object).find((s) => s.description === description);
  return need(found, 'symbol', description) as symbol;
}

// A socket around a handle that never opens a file descriptor has all the symbols.
function findSymbols(): Symbols {
  const handle = new (tcpClass())(0);
  const options = { handle, readable: false, manualStart: true };
  const socket = new net.Socket(options);
  try {
    return {
      owner: symbolOf(handle, 'owner_symbol'),
      asyncId: symbolOf(socket, 'async_id_symbol'),
      userBuffer: symbolOf(socket, 'kBuffer'),
      bufferGenerator: symbolOf(socket, 'kBufferGen'),
      reinitializeHandle: symbolOf(net.Socket.prototype, 'kReinitializeHandle'),
    };
  } finally {
    socket.destroy();
  }
}

function known(): Symbols {
  symbols ??= findSymbols();
  return symbols;
}

function get(object: object, key: symbol): unknown {
  // Not Reflect.get, which costs ten times as much, and this is asked at each connection.
  return (object as Record<symbol, unknown>)[key];
}

/** The socket or server that a handle belongs to. */
export function ownerOf(handle: object): object | undefined {
  const owner = get(handle, known().owner);
  return typeof owner === 'object' && owner !== null ? owner : undefined;
}

/** Makes a socket the owner of a handle. */
export function setOwner(handle: object, owner: object): void {
  Reflect.set(handle, known().owner, owner);
}

/** Tells async_hooks that a socket now runs on this handle. */
export function setAsyncId(socket: net.Socket, handle: Handle): void {
  Reflect.set(socket, known().asyncId, handle.getAsyncId());
}

/** The buffer of the option `onread`, as long as the socket is connected. */
export function userBufferOf(socket: net.Socket): Uint8Array | undefined {
  const buffer = get(socket, known().userBuffer);
  return buffer instanceof Uint8Array ? buffer : undefined;
}

/**
 * Whether TLS has been put over a handle: it replaces the property `reading` by an accessor, and
 * cannot be moved to another handle.
 */
export function isUnderTls(handle: object): boolean {
  return Object.getOwnPropertyDescriptor(handle, 'reading')?.get !== undefined;
}

/**
 * Puts a handle into a socket as Node does for the second and later addresses of a host. The buffer
 * of the option `onread` stays: the program is asked for one where it would be over TCP.
 */
export function reinitializeHandle(socket: net.Socket, handle: object): void {
  const { reinitializeHandle: name, bufferGenerator } = known();
  const method = need(get(socket, name), 'function', 'kReinitializeHandle');
  const generator = get(socket, bufferGenerator);
  Reflect.set(socket, bufferGenerator, null);
  try {
    (method as (handle: object) => void).call(socket, handle);
  } finally {
    Reflect.set(socket, bufferGenerator, generator);
  }
}

/**
 * A TLS socket that tries a second address gets a TLSWrap over a TCP handle that has no owner, so
 * that nobody could tell whose connection it makes. From now on it has one.
 */
export function giveOwnersToTlsHandles(): void {
  const key = known().reinitializeHandle;
  const original = get(net.Socket.prototype, key) as (handle: Handle) => void;
  Reflect.set(
    net.Socket.prototype,
    key,
    function (this: net.Socket, handle: Handle & { _parent?: Handle }): void {
      original.call(this, handle);
      const parent = handle._parent;
      if (isTcp(parent) && ownerOf(parent) === undefined) setOwner(parent, this);
    },
  );
}

let forgetsHosts = false;

// net.js keeps the name when a socket is used again for an address.
function forgetHostsOnReuse(): void {
  if (forgetsHosts) return;
  forgetsHosts = true;
  const prototype = net.Socket.prototype as net.Socket & SocketInside;
  const found: unknown = Reflect.get(prototype, '_undestroy');
  const original = need(found, 'function', '_undestroy') as () => void;
  prototype._undestroy = function _undestroy(this: net.Socket & SocketInside): void {
    if (this.destroyed) this._host = null;
    original.call(this);
  };
}

/** The name that a socket was told to connect to, if it was one. It has been looked up already. */
export function hostAskedOf(socket: net.Socket): string | undefined {
  forgetHostsOnReuse();
  return inside(socket)._host ?? undefined;
}

type Tick = () => void;

// Under --pending-deprecation Node wraps it to warn, and the wrapper has it as its prototype.
function findTick(): Tick {
  const found = need(nodeProcess._tickCallback, 'function', 'process._tickCallback') as Tick;
  const wrapped: unknown = Object.getPrototypeOf(found);
  return wrapped === Function.prototype ? found : (wrapped as Tick);
}

let tick: Tick | undefined;

/** Runs what the delivery to one stream has queued, as Node does after each callback of TCP. */
export function runTicks(): void {
  tick ??= findTick();
  tick();
}

/** @throws when Node lacks what {@link runTicks} needs */
export function checkTicks(): void {
  tick ??= findTick();
}
