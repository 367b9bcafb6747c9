/**
 * Catches the places of net where a connection begins. They are cold methods of prototypes: nothing
 * of TCP's reading and writing is touched. What stands behind them is loaded at their first call.
 */

import net from 'node:net';
import path from 'node:path';
// Not that of the global object: the program may have put a clock of its own there.
import { setImmediate } from 'node:timers';
import { debug } from './diagnostics';
import { uvErrnoOf } from './errors';
import { defineTransport, isBesideTcp, setGlobalReason } from './info';
import {
  inside,
  ownerOf,
  serverInside,
  serverPrototype,
  tcpClass,
  type ConnectMethod,
  type ConnectRequest,
  type TcpHandle,
} from './internals';
import { changeSettings, readEnvironment, settings, takeOver, type Settings } from './mode';
import { Status } from './native-status';
import { reasonFor, type Reason } from './reasons';
import { catchPassing } from './passing';
import { rootScope } from './scope';

/**
 * On the prototype of the classes that use RDMA where not every socket does. Another copy of this
 * package knows it too.
 */
export const kEnabled = Symbol.for('rdma-net enabled');

/** On what stands in the place of `connect`: `__dirname` of the copy of this package that did it. */
const kCaughtBy = Symbol.for('rdma-net caught by');

/** UV_TCP_IPV6ONLY */
const IPV6_ONLY = 1;
/** UV_TCP_REUSEPORT */
const REUSE_PORT = 2;

let environmentRead = false;
let installed = false;
let warned = false;
let everySocket = false;

/**
 * Enables RDMA.
 * @param every true for every socket and server of the process, false for those with
 *   {@link kEnabled}
 * @throws {ConfigurationError} when the environment has a mistake; else never: without RDMA
 *   everything is plain net, with the reason recorded
 */
export function install(every: boolean): void {
  if (every) everySocket = true;
  if (!environmentRead) {
    readEnvironment(process.env);
    environmentRead = true;
    rootScope();
    defineTransport();
  }
  patch();
}

/**
 * Changes settings for sockets and servers made from now on, in this environment (main thread or
 * worker).
 * @param changes what is to change; fields that are undefined, or not there, stay as they are
 * @throws {ConfigurationError} naming what was found and what was expected; nothing is changed then
 */
export function configure(changes: Partial<Settings>): void {
  changeSettings(changes);
  patch();
}

function patch(): void {
  if (installed) return;
  const reason = whyNot() ?? tryToPatch();
  installed = reason === undefined;
  setGlobalReason(reason);
  if (reason === undefined) return;
  debug('plain net: %s %s', reason.code, reason.detail);
  if (isRequired()) warn(reason);
}

// RDMA_NET=off is meant to switch everything off, whatever the rules say.
function isRequired(): boolean {
  const { mode, rules } = settings;
  return mode !== 'off' && [{ mode }, ...rules].some((one) => one.mode === 'require');
}

// Nothing is caught, so that there is no connection to fail. The preload and every import come here.
function warn(reason: Reason): void {
  if (warned) return;
  warned = true;
  process.emitWarning(`RDMA is required, but all sockets will use TCP: ${reason.text}`, {
    code: 'RDMA_NET_REQUIRED',
    detail: reason.detail,
  });
}

// To catch everything twice would have each take the other for another program.
function warnOfCopies(other: string): void {
  const [first, second] = [other, __dirname].map((lib) => path.join(lib, '..', '..'));
  process.emitWarning(
    `Two copies of rdma-net are loaded: that in ${first} serves all sockets, and the settings of the one ` +
      `in ${second} have no effect`,
    {
      code: 'RDMA_NET_TWICE',
      detail: 'Install it once: `npm ls rdma-net` tells where it comes from.',
    },
  );
}

function whyNot(): Reason | undefined {
  if (settings.mode === 'off') return reasonFor('mode-off');
  return process.platform === 'linux' ? undefined : reasonFor('platform', process.platform);
}

function tryToPatch(): Reason | undefined {
  try {
    const { prototype } = tcpClass();
    const { [kCaughtBy]: other } = prototype.connect as { [kCaughtBy]?: string };
    if (other !== undefined) {
      warnOfCopies(other);
      return undefined;
    }
    prototype.connect = Object.assign(catchConnect(prototype.connect), {
      [kCaughtBy]: __dirname,
    });
    prototype.connect6 = catchConnect(prototype.connect6);
    catchListen();
    catchReset();
    catchPassing(stopListeningBeside);
    return undefined;
  } catch (error) {
    const { code, message } = error as { code?: unknown; message: string };
    return reasonFor(code === 'ERR_ACCESS_DENIED' ? 'permission-model' : 'node-internals', message);
  }
}

function isEnabled(object: object | undefined): boolean {
  return object !== undefined && (everySocket || kEnabled in object);
}

type ConnectModule = typeof import('./connect');
type ListenModule = typeof import('./listen');

let broken: Reason | undefined;
let wasUsed = false;

// Loaded late: a program that never connects pays nothing for it.
function loadLate<T>(load: () => T): T | undefined {
  if (broken !== undefined) return undefined;
  try {
    const loaded = load();
    if (!wasUsed) noteFirstUse();
    return loaded;
  } catch (error) {
    broken = reasonFor('node-internals', error instanceof Error ? error.message : String(error));
    setGlobalReason(broken);
    debug('plain net: %s %s', broken.code, broken.detail);
    return undefined;
  }
}

let connectModule: ConnectModule | undefined;

// Looked up once: this is asked at each connection, and `require` takes as long as all the rest.
function loadConnect(): ConnectModule | undefined {
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  connectModule ??= loadLate(() => require('./connect') as ConnectModule);
  return connectModule;
}

type EndpointModule = typeof import('./monitor/endpoint');

// In the next turn of the event loop: neither the first connection of a program nor its first server
// waits for it.
function noteFirstUse(): void {
  wasUsed = true;
  takeOver(['status']);
  if (settings.status === 'off') return;
  rootScope().runInAsyncScope(() => {
    setImmediate(openEndpoint).unref();
  });
}

function openEndpoint(): void {
  try {
    // eslint-disable-next-line @typescript-eslint/no-require-imports
    (require('./monitor/endpoint') as EndpointModule).openEndpoint();
  } catch (error) {
    debug('rdma-net status cannot ask this program: %s', (error as Error).message);
  }
}

type PlanModule = typeof import('./plan');

function mayNotUseTcp(socket: object | undefined, address: string, port: number): boolean {
  if (!(socket instanceof net.Socket)) return false;
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const { planConnect } = require('./plan') as PlanModule;
  return planConnect(socket, address, port).mode === 'require';
}

function catchConnect(original: ConnectMethod): ConnectMethod {
  return function connect(
    this: TcpHandle,
    request: ConnectRequest,
    address: string,
    port: number,
  ): number {
    // What is loaded now is not to delay TCP for longer than RDMA may.
    const sinceMs = performance.now();
    const socket = ownerOf(this);
    const late = isEnabled(socket) ? loadConnect() : undefined;
    if (late?.isSocket(socket) !== true) {
      const isRefused = broken !== undefined && mayNotUseTcp(socket, address, port);
      return isRefused ? uvErrnoOf(Status.NoRoute) : original.call(this, request, address, port);
    }
    if (late.goesToTcpAgain(socket, request, address, port, sinceMs)) {
      return original.call(this, request, address, port);
    }
    return late.connect({ socket, handle: this, original, request, address, port, sinceMs });
  };
}

function catchListen(): void {
  const prototype = serverPrototype();
  const original = prototype._listen2;
  prototype._listen2 = function setupListenHandle(
    address,
    port,
    addressType,
    backlog,
    fd,
    flags,
  ): void {
    const hasHandle = serverInside(this)._handle !== null;
    const given = hasHandle || typeof fd === 'number';
    // Only a worker of a cluster is given a handle where a port was asked for.
    const fromPrimary =
      hasHandle && typeof fd !== 'number' && typeof port === 'number' && port >= 0;
    original.call(this, address, port, addressType, backlog, fd, flags);
    if (!isEnabled(this) || serverInside(this)._handle === null) return;
    // eslint-disable-next-line @typescript-eslint/no-require-imports
    const late = loadLate(() => require('./listen') as ListenModule);
    const ipv6Only = ((flags ?? 0) & IPV6_ONLY) !== 0;
    const reusePort = ((flags ?? 0) & REUSE_PORT) !== 0;
    late?.listenBeside({ server: this, backlog, given, fromPrimary, ipv6Only, reusePort });
  };
}

function stopListeningBeside(server: net.Server): void {
  if (!isEnabled(server)) return;
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  loadLate(() => require('./listen') as ListenModule)?.stopBeside(server);
}

// resetAndDestroy looks whether the handle is libuv's TCP. Ours can be reset too.
function catchReset(): void {
  const prototype = net.Socket.prototype;
  const original = Object.getOwnPropertyDescriptor(prototype, 'resetAndDestroy')?.value as
    typeof prototype.resetAndDestroy | undefined;
  if (original === undefined) throw new Error('net.Socket has no resetAndDestroy');
  prototype.resetAndDestroy = function resetAndDestroy(this: net.Socket): net.Socket {
    const canReset = !this.destroyed && 'reset' in (inside(this)._handle ?? {});
    if (!isBesideTcp(this) || !canReset) return original.call(this);
    inside(this)._reset();
    return this;
  };
}
