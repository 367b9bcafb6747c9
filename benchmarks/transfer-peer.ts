/**
 * One side of the transfers that `npm run bench -- lab` measures: an ordinary program of node:net,
 * run under the preload or without. Both sides live through the whole benchmark and make a
 * connection for each transfer.
 *
 *     node transfer-peer.js server ADDRESS      says its port
 *     node transfer-peer.js client ADDRESS PORT
 *
 * Each line of standard input is a {@link Transfer} for the client to do; each line of standard
 * output is a {@link Saying}. A transfer begins with 16 bytes each way, as rstream's does, and then,
 * `turns` times, `count` messages of `bytes` bytes go from the client to the server and `back` bytes
 * from the server to the client. Both end when their standard input does. What arrives is counted,
 * and the ends of each chunk are compared with what has to be there.
 */
import { subscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { info, stats } from '../lib/index';
import { percentilesOf, type Percentiles } from './percentiles';

/** What is sent. */
export interface Transfer {
  /** Bytes of a write. */
  bytes: number;
  /** Writes of a turn. */
  count: number;
  turns: number;
  /** Whether as much comes back in each turn. Else 16 bytes do, which say that all has arrived. */
  echo: boolean;
}

/** What one side spent on a transfer; numbers of rdma-net by the names it has for them. */
export interface Spent {
  transport: string;
  bytes: number;
  userSeconds: number;
  systemSeconds: number;
  counters: Record<string, number>;
}

export type Saying =
  | { event: 'ready'; port: number }
  | { event: 'done'; seconds: number; spent: Spent; latency?: Percentiles }
  | { event: 'failed'; message: string };

const HELLO_BYTES = 16;

function say(saying: Saying): void {
  process.stdout.write(`${JSON.stringify(saying)}\n`);
}

/** The numbers among the properties of what may be absent. */
function numbersOf(object: object | undefined): Record<string, number> {
  const numbers = Object.entries(object ?? {}).filter(([, value]) => typeof value === 'number');
  return Object.fromEntries(numbers);
}

/** Notes what the process has spent, and tells how much more it is when a transfer has ended. */
function startMeter(): (socket: net.Socket) => Spent {
  const [cpuBefore, before] = [process.cpuUsage(), numbersOf(stats())];
  return (socket) => {
    const cpu = process.cpuUsage(cpuBefore);
    const sinceThen = Object.entries(numbersOf(stats())).map(([name, value]) => [
      name,
      value - (before[name] ?? 0),
    ]);
    return {
      transport: socket.transport ?? 'tcp',
      bytes: socket.bytesRead + socket.bytesWritten,
      userSeconds: cpu.user / 1e6,
      systemSeconds: cpu.system / 1e6,
      // What a connection counts has precedence over what all have counted together.
      counters: {
        ...(Object.fromEntries(sinceThen) as Record<string, number>),
        ...numbersOf(info(socket).counters),
      },
    };
  };
}

/** A message whose bytes tell their places. */
function message(bytes: number): Buffer {
  const buffer = Buffer.allocUnsafe(bytes);
  for (let offset = 0; offset < bytes; offset++) buffer[offset] = byteAt(offset);
  return buffer;
}

function byteAt(offset: number): number {
  return (offset + (offset >> 8) + (offset >> 16)) & 0xff;
}

/** A socket that sends and receives so many bytes at a time, and calls back when that is done. */
class Turns {
  readonly #socket: net.Socket;
  #message: Buffer = Buffer.alloc(HELLO_BYTES);
  #toSend = 0;
  #toReceive = 0;
  #received = 0;
  #messageBytes = 1;
  #onSent: () => void = () => undefined;
  #onReceived: () => void = () => undefined;

  constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.on('drain', () => this.#write());
    socket.on('data', (chunk) => {
      this.#check(chunk);
      this.#toReceive -= chunk.length;
      if (this.#toReceive < 0) throw new Error(`${-this.#toReceive} bytes more than were expected`);
      if (this.#toReceive === 0) this.#onReceived();
    });
  }

  send(message: Buffer, count: number, onSent: () => void = () => undefined): void {
    this.#message = message;
    this.#toSend = count;
    this.#onSent = onSent;
    this.#write();
  }

  /** Expects `count` messages of `bytes` bytes. */
  receive(bytes: number, count: number, onReceived: () => void): void {
    this.#messageBytes = bytes;
    this.#received = 0;
    this.#toReceive = bytes * count;
    this.#onReceived = onReceived;
  }

  /** To look at every byte would take longer than to send it: the first and the last tell a shift. */
  #check(chunk: Buffer): void {
    const first = this.#received % this.#messageBytes;
    this.#received += chunk.length;
    const last = (this.#received - 1) % this.#messageBytes;
    if (chunk[0] !== byteAt(first) || chunk[chunk.length - 1] !== byteAt(last)) {
      throw new Error(`other bytes arrived before position ${this.#received}`);
    }
  }

  /** Writes until the socket asks to wait: for `drain`. */
  #write(): void {
    while (this.#toSend > 0) {
      this.#toSend--;
      if (!this.#socket.write(this.#message) && this.#toSend > 0) return;
    }
    const onSent = this.#onSent;
    this.#onSent = () => undefined;
    onSent();
  }
}

function hello(transfer: Transfer): Buffer {
  const buffer = Buffer.alloc(HELLO_BYTES);
  const numbers = [transfer.bytes, transfer.count, transfer.turns, Number(transfer.echo)];
  numbers.forEach((value, index) => buffer.writeUInt32LE(value, index * 4));
  return buffer;
}

function readHello(buffer: Buffer): Transfer {
  const [bytes = 0, count = 0, turns = 0, echo = 0] = [0, 4, 8, 12].map((offset) =>
    buffer.readUInt32LE(offset),
  );
  return { bytes, count, turns, echo: echo === 1 };
}

/** What the server sends in each turn. */
function answerOf({ bytes, count, echo }: Transfer): { message: Buffer; count: number } {
  return echo ? { message: message(bytes), count } : { message: message(HELLO_BYTES), count: 1 };
}

/** What the client saw. */
interface Transferred {
  /** From the end of the greeting to the last byte received. */
  seconds: number;
  /** Of the turns. */
  latency: Percentiles;
}

function transferAsClient(socket: net.Socket, transfer: Transfer): Promise<Transferred> {
  return new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('end', () => reject(new Error('the server ended the connection early')));
    const turns = new Turns(socket);
    const sent = message(transfer.bytes);
    const answer = answerOf(transfer);
    const timesMs = new Float64Array(transfer.turns + 1);
    let done = 0;
    const turn = (): void => {
      timesMs[done] = performance.now();
      if (done++ === transfer.turns) {
        resolve(transferredIn(timesMs));
        return;
      }
      turns.receive(answer.message.length, answer.count, turn);
      turns.send(sent, transfer.count);
    };
    turns.receive(HELLO_BYTES, 1, turn);
    turns.send(hello(transfer), 1);
  });
}

/** @param timesMs when each turn began, and when the last ended */
function transferredIn(timesMs: Float64Array): Transferred {
  const microseconds = Array.from(timesMs.subarray(1), (endMs, turn) => {
    return (endMs - (timesMs[turn] ?? NaN)) * 1000;
  });
  const seconds = ((timesMs.at(-1) ?? NaN) - (timesMs[0] ?? NaN)) / 1000;
  return { seconds, latency: percentilesOf(microseconds) };
}

function serve(socket: net.Socket): void {
  const spentSince = startMeter();
  let spent: Spent | undefined;
  socket.on('error', (error) => say({ event: 'failed', message: error.message }));
  socket.on('end', () => (spent = spentSince(socket)));
  socket.on('close', () => {
    if (spent !== undefined) say({ event: 'done', seconds: 0, spent });
  });
  socket.once('data', (first) => {
    const transfer = readHello(first);
    const turns = new Turns(socket);
    const answer = answerOf(transfer);
    const turn = (): void => {
      turns.receive(transfer.bytes, transfer.count, turn);
      turns.send(answer.message, answer.count);
    };
    turns.receive(transfer.bytes, transfer.count, turn);
    socket.write(message(HELLO_BYTES));
  });
}

async function runServer(address: string): Promise<void> {
  const server = net.createServer({ noDelay: true }, serve);
  const reachable =
    process.env.RDMA_NET === 'off'
      ? once(server, 'listening')
      : new Promise((resolve) => subscribe('rdma-net:listen', resolve));
  server.listen(0, address);
  await reachable;
  say({ event: 'ready', port: (server.address() as net.AddressInfo).port });
  process.stdin.resume();
  process.stdin.on('end', () => server.close());
}

async function runClient(address: string, port: number): Promise<void> {
  say({ event: 'ready', port });
  for await (const line of createInterface(process.stdin)) {
    const socket = net.connect({ port, host: address, noDelay: true });
    await once(socket, 'connect');
    const spentSince = startMeter();
    const transferred = await transferAsClient(socket, JSON.parse(line) as Transfer);
    const spent = spentSince(socket);
    socket.removeAllListeners('end');
    socket.end();
    await once(socket, 'close');
    say({ event: 'done', ...transferred, spent });
  }
}

const [side, address = '', port] = process.argv.slice(2);
const running = side === 'server' ? runServer(address) : runClient(address, Number(port));
running.catch((error: unknown) => {
  say({ event: 'failed', message: String(error) });
  process.exitCode = 1;
});
