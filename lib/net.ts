/** Everything that the package exports by name. */

import nodeNet from 'node:net';
import { alloc } from './alloc';
import { info } from './info';
import { configure, install, kEnabled } from './install';
import { reasons } from './reasons';
import { stats } from './stats';
import './types';

export * from 'node:net';
export { alloc, configure, info, reasons, stats };
export { ConfigurationError, RdmaError, RdmaUnavailableError } from './errors';
export type { ServerInfo, SocketInfo } from './info';
export type { FabricTransportName, Mode, Settings, TransportName } from './mode';
export type { RuleDirection, RuleInfo, RuleObject } from './rule';
export type { RulesInput } from './rule-object';
export type { ConnectionInfo } from './connection-info';
export type { Counters, Handshake, TransportStats } from './native';
export type { Reason, ReasonCode, ReasonEntry } from './reasons';
export type { Stats } from './stats';
export type {
  AcceptMessage,
  AttemptMessage,
  AttemptStep,
  ConnectMessage,
  FailureMessage,
  FallbackMessage,
  ListenMessage,
} from './diagnostics';

install(false);

/**
 * As net.Socket; its connections use shared memory or RDMA where they can. Every net.Socket is an
 * `instanceof` it, and so are those that servers accept.
 */
export const Socket = subclass(nodeNet.Socket, 'Socket');
export type Socket = nodeNet.Socket;

/**
 * As net.Server; it can be reached over shared memory and RDMA, too. Every net.Server is an
 * `instanceof` it.
 */
export const Server = subclass(nodeNet.Server, 'Server');
export type Server = nodeNet.Server;

// A function like that of net, not a class: it may be called without `new`, and from constructors
// made with util.inherits.
function subclass<Base extends typeof nodeNet.Socket | typeof nodeNet.Server>(
  base: Base,
  name: string,
): Base {
  const construct = base as unknown as (this: object, ...args: unknown[]) => void;
  function Enabled(this: object | undefined, ...args: unknown[]): object | undefined {
    if (!(this instanceof base))
      return new (own as unknown as new (...a: unknown[]) => object)(...args);
    construct.apply(this, args);
    return undefined;
  }
  const own = Enabled as unknown as Base;
  Object.setPrototypeOf(own, base);
  own.prototype = Object.create(base.prototype, {
    constructor: { value: own, writable: true, configurable: true },
    [kEnabled]: { value: true },
  }) as never;
  Object.defineProperty(own, 'name', { value: name, configurable: true });
  // The sockets that a server accepts are made by Node, and programs ask `instanceof net.Socket`.
  Object.defineProperty(own, Symbol.hasInstance, {
    value(this: object, value: unknown): boolean {
      if (this === own) return value instanceof base;
      return Function.prototype[Symbol.hasInstance].call(this, value);
    },
  });
  return own;
}

/** Alias of {@link Socket}, as in net. */
export const Stream = Socket;

type ConnectArguments = Parameters<nodeNet.Socket['connect']>;

function connectSocket(...args: unknown[]): Socket {
  const [first] = args;
  const options = typeof first === 'object' && first !== null ? first : {};
  const socket = new Socket(options);
  const { timeout } = options as { timeout?: number };
  if (timeout !== undefined && timeout > 0) socket.setTimeout(timeout);
  return socket.connect(...(args as unknown as ConnectArguments));
}

/** net.connect with a {@link Socket}. */
export const connect = connectSocket as typeof nodeNet.connect;

/** Alias of {@link connect}, as in net. */
export const createConnection = connect;

/** net.createServer with a {@link Server}. */
export const createServer = ((...args: ConstructorParameters<typeof nodeNet.Server>) =>
  new Server(...args)) as typeof nodeNet.createServer;
