/**
 * Whether this Node is the Node we know. Before the first connection over RDMA a socket writes and
 * reads through a handle without network; if anything differs, everything stays on TCP.
 */

import net from 'node:net';
import { UV_EPIPE } from './errors';
import { StreamHandle } from './handle';
import { checkTicks, giveOwnersToTlsHandles } from './internals';
import { EventKind, NOT_IN_PLACE, type Transport } from './native';
import { Status } from './native-status';
import { reasonFor, type Reason } from './reasons';
import { rootedScope } from './scope';
import type { Carrier } from './transport';

let difference: Reason | 'none' | undefined;

/** The reason to stay on TCP, if Node differs. Looks once. */
export function internalsDiffer(): Reason | undefined {
  difference ??= look();
  return difference === 'none' ? undefined : difference;
}

function look(): Reason | 'none' {
  try {
    checkTicks();
    checkStream();
    giveOwnersToTlsHandles();
    return 'none';
  } catch (error) {
    return reasonFor('node-internals', error instanceof Error ? error.message : String(error));
  }
}

function expect(what: string, found: unknown, expected: unknown): void {
  if (found === expected) return;
  throw new Error(`${what}: found ${String(found)}, expected ${String(expected)}`);
}

/** A connection whose written bytes are kept, and whose bytes to read are given. */
class Loopback {
  room = 0;
  written = '';
  reply = '';

  readonly #native: Transport = {
    copiesWrites: true,
    isOpen: () => true,
    farewell: () => undefined,
    events: new Int32Array(0),
    connect: () => -1,
    establish: () => Status.Ok,
    listen: () => -1,
    placeOf: () => undefined,
    mayListen: () => true,
    read: (_id, target, offset) => {
      const bytes = Buffer.from(this.reply);
      target.set(bytes, offset);
      this.reply = '';
      return bytes.length;
    },
    write: (_id, source, offset, length) => {
      const taken = Math.min(length, this.room);
      this.written += Buffer.from(source.subarray(offset, offset + taken)).toString();
      this.room -= taken;
      return taken;
    },
    readInPlace: () => undefined,
    setReadInPlace: () => undefined,
    writeInPlace: () => NOT_IN_PLACE,
    flush: () => undefined,
    free: () => undefined,
    register: () => 0,
    unregister: () => undefined,
    setKeepAlive: () => undefined,
    shutdown: () => Status.Ok,
    close: () => undefined,
    retire: () => false,
    reset: () => undefined,
    localEndpoint: () => undefined,
    remoteEndpoint: () => undefined,
    inspect: () => undefined,
    handshake: () => undefined,
    stats: () => {
      throw new Error('there are no statistics here');
    },
    openError: () => '',
    setRef: () => undefined,
    runSoon: () => undefined,
  };

  readonly carrier: Carrier = {
    name: 'rdma',
    native: this.#native,
    retain: () => undefined,
    release: () => undefined,
  };
}

function checkStream(): void {
  const loopback = new Loopback();
  const handle = new StreamHandle(loopback.carrier, -1, rootedScope('RDMACHECK'), '');
  const options = { handle } as net.SocketConstructorOpts;
  const socket = new net.Socket(options);
  socket.on('error', () => undefined);
  try {
    loopback.room = 5;
    socket.write('first');
    expect('a write', loopback.written, 'first');
    loopback.room = 2;
    socket.write(Buffer.from('second'));
    expect('bytes that wait', handle.writeQueueSize, 4);
    loopback.room = 100;
    handle.handleEvent(EventKind.Writable, -1, 0, 0, 0);
    expect('all writes', loopback.written, 'firstsecond');
    expect('bytes written', socket.bytesWritten, 11);
    loopback.reply = 'reply';
    handle.handleEvent(EventKind.Readable, -1, 5, 0, 0);
    // Nobody listens for data, so that it goes through C++.
    handle.deliverToReader();
    expect('a read', String(socket.read()), 'reply');
    handle.handleEvent(EventKind.Failed, -1, Status.BrokenPipe, 0, 0);
    const { errored } = socket as { errored?: { errno?: unknown } | null };
    expect('an error', errored?.errno, UV_EPIPE);
  } finally {
    socket.destroy();
    handle.handleEvent(EventKind.Closed, -1, 0, 0, 0);
  }
}
