/**
 * The endpoint at which `rdma-net status` asks this environment what its sockets do: see
 * folder.ts for where it is, and report.ts for what it says.
 *
 *     status -> {"protocol":1,"sockets":true}        endpoint -> a part of the report, one line
 *            -> an empty line                                 -> the next part ... {"end":true}
 *
 * The program must not notice it. It is a bare handle without a reference: it keeps nothing alive, is
 * none of the active handles, and no net.Server. Of what a program has to say each turn of the event
 * loop makes one small part, when it is asked for; so a part always fits into what the kernel holds
 * for the socket, and nothing waits for a reader. One that does not read is cut off.
 */

import { unlinkSync } from 'node:fs';
import net from 'node:net';
import { debug } from '../diagnostics';
import { UV_EADDRINUSE } from '../errors';
import { pipeServer } from '../internals';
import { namespaceOf, ownThread, placeFor } from './folder';
import type { ReportPart } from './report';

/** How many may ask at the same time. */
const READERS_MAX = 8;
/** How long one may be silent, in milliseconds. */
const READER_IDLE_MS = 5000;
/** Characters that a request may have. */
const REQUEST_LENGTH_MAX = 1024;

type ReportModule = typeof import('./report');

/** Sockets of those who ask. */
const readers = new Set<net.Socket>();

/**
 * Opens the endpoint of this environment.
 * @throws when it cannot be had
 */
export function openEndpoint(): void {
  const { pid } = process;
  const name = { pid, pidNamespace: namespaceOf('self', 'pid'), thread: ownThread() };
  const file = placeFor(name, process.env['XDG_RUNTIME_DIR']);
  if (file === undefined) throw new Error('there is no folder that only this user can open');
  listenAt(file);
}

function listenAt(file: string): void {
  const handle = pipeServer();
  handle.unref();
  let errno = handle.bind(file);
  // A program that was killed had the same process id, and has left it.
  if (errno === UV_EADDRINUSE && remove(file)) errno = handle.bind(file);
  errno ||= handle.listen(READERS_MAX);
  if (errno !== 0) {
    handle.close();
    throw new Error(`${file}: error ${errno}`);
  }
  handle.onconnection = (status, client) => {
    if (status === 0 && client !== undefined) guard(client, () => converse(client));
  };
  // Not with the cleanup of the environment: process.exit() does without it.
  process.once('exit', () => {
    remove(file);
  });
}

function remove(file: string): boolean {
  try {
    unlinkSync(file);
    return true;
  } catch {
    // It is not there, or belongs to the user that this program was before.
    return false;
  }
}

/** Nothing that goes wrong here may become an error of the program. */
function guard(closable: { close(): unknown }, action: () => void): void {
  try {
    action();
  } catch (error) {
    debug('rdma-net status was not answered: %s', (error as Error).message);
    closable.close();
  }
}

function converse(handle: object): void {
  // What is known of a socket with a handle is more than the types say.
  const socket = new net.Socket({ handle } as net.SocketConstructorOpts);
  const close = (): void => void socket.destroy();
  if (readers.size >= READERS_MAX) {
    close();
    return;
  }
  readers.add(socket);
  let rest = '';
  let parts: Iterator<ReportPart, unknown> | undefined;
  const answer = (line: string): void => {
    parts ??= begin(line);
    const step: IteratorResult<ReportPart, unknown> = parts.next();
    if (step.done === true) throw new Error('asked for more than there is');
    socket.write(`${JSON.stringify(step.value)}\n`);
    if (socket.writableLength > 0) throw new Error('nobody reads the answer');
    if (step.value.end === true) parts = undefined;
  };
  socket.unref();
  socket.setTimeout(READER_IDLE_MS, close);
  socket.on('error', close);
  socket.on('close', () => readers.delete(socket));
  socket.setEncoding('latin1');
  socket.on('data', (chunk: string) => {
    guard({ close }, () => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > REQUEST_LENGTH_MAX) throw new Error('the request is too long');
      for (const line of lines) answer(line);
    });
  });
}

function begin(request: string): Iterator<ReportPart> {
  const { sockets } = JSON.parse(request) as { sockets?: unknown };
  // Loaded when somebody asks, and never in most programs.
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const { report } = require('./report') as ReportModule;
  return report(sockets === true);
}
