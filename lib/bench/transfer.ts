/**
 * Transfers between two programs, to measure them. A transfer has a connection of its own, and begins
 * with 16 bytes each way: those of the client say what comes. Then, `turns` times, `count` messages of
 * `bytes` bytes go from the client to the server, and an answer comes back. What arrives is counted,
 * and the ends of each chunk are compared with what has to be there.
 */

import type { Socket } from 'node:net';

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

/** What the client saw. */
export interface Transferred {
  /** From the end of the greeting to the last byte received. */
  seconds: number;
  /** Of each turn. */
  turnMicroseconds: number[];
}

const HELLO_BYTES = 16;
/** In the last word of the greeting, above the flag: who says something else means somebody else. */
const MAGIC = 0x524e_4200;

/** A message whose bytes tell their places. */
function message(bytes: number): Buffer {
  const buffer = Buffer.allocUnsafe(bytes);
  for (let offset = 0; offset < bytes; offset++) buffer[offset] = byteAt(offset);
  return buffer;
}

function byteAt(offset: number): number {
  return (offset + (offset >> 8) + (offset >> 16)) & 0xff;
}

function nothing(): void {
  // Nobody waits for it.
}

/** A socket that sends and receives so many bytes at a time, and calls back when that is done. */
class Turns {
  readonly #socket: Socket;
  #message: Buffer = Buffer.alloc(HELLO_BYTES);
  #toSend = 0;
  #toReceive = 0;
  #received = 0;
  #messageBytes = 1;
  #onReceived: () => void = nothing;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('drain', () => {
      this.#write();
    });
    socket.on('data', (chunk: Buffer) => {
      this.#take(chunk);
    });
  }

  send(message: Buffer, count: number): void {
    this.#message = message;
    this.#toSend = count;
    this.#write();
  }

  /** Expects `count` messages of `bytes` bytes. */
  receive(bytes: number, count: number, onReceived: () => void): void {
    this.#messageBytes = bytes;
    this.#received = 0;
    this.#toReceive = bytes * count;
    this.#onReceived = onReceived;
  }

  #take(chunk: Buffer): void {
    const excess = chunk.length - this.#toReceive;
    if (excess > 0) {
      this.#socket.destroy(new Error(`${excess} bytes more than were expected`));
    } else if (!this.#isExpected(chunk)) {
      const place = this.#received;
      this.#socket.destroy(new Error(`other bytes arrived before position ${place}`));
    } else {
      this.#toReceive -= chunk.length;
      if (this.#toReceive === 0) this.#onReceived();
    }
  }

  /** To look at every byte would take longer than to send it: the first and the last tell a shift. */
  #isExpected(chunk: Buffer): boolean {
    const first = this.#received % this.#messageBytes;
    this.#received += chunk.length;
    const last = (this.#received - 1) % this.#messageBytes;
    return chunk[0] === byteAt(first) && chunk[chunk.length - 1] === byteAt(last);
  }

  /** Writes until the socket asks to wait: for `drain`. */
  #write(): void {
    while (this.#toSend > 0) {
      this.#toSend--;
      if (!this.#socket.write(this.#message) && this.#toSend > 0) return;
    }
  }
}

function hello({ bytes, count, turns, echo }: Transfer): Buffer {
  const buffer = Buffer.alloc(HELLO_BYTES);
  const numbers = [bytes, count, turns, MAGIC | Number(echo)];
  numbers.forEach((value, index) => buffer.writeUInt32LE(value, index * 4));
  return buffer;
}

/** Undefined for what is no greeting. */
function readHello(buffer: Buffer): Transfer | undefined {
  if (buffer.length !== HELLO_BYTES) return undefined;
  const [bytes = 0, count = 0, turns = 0, flags = 0] = [0, 4, 8, 12].map((offset) =>
    buffer.readUInt32LE(offset),
  );
  const isGreeting = (flags & ~1) === MAGIC && bytes > 0 && count > 0 && turns > 0;
  return isGreeting ? { bytes, count, turns, echo: (flags & 1) === 1 } : undefined;
}

/** What the server sends in each turn. */
function answerOf({ bytes, count, echo }: Transfer): { message: Buffer; count: number } {
  return echo ? { message: message(bytes), count } : { message: message(HELLO_BYTES), count: 1 };
}

function transferredIn(timesMs: Float64Array): Transferred {
  const turnMicroseconds = Array.from(timesMs.subarray(1), (endMs, turn) => {
    return (endMs - (timesMs[turn] ?? NaN)) * 1000;
  });
  const seconds = ((timesMs.at(-1) ?? NaN) - (timesMs[0] ?? NaN)) / 1000;
  return { seconds, turnMicroseconds };
}

/** Transfers over a socket that is connected. The caller closes it. */
export function transferAsClient(socket: Socket, transfer: Transfer): Promise<Transferred> {
  return new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('end', () => {
      reject(new Error('the server ended the connection early'));
    });
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

/**
 * Serves the transfer that the client of this socket asks for. The caller listens for errors, and
 * closes the socket.
 * @param isAllowed asked before anything is made for it
 */
export function serveTransfer(
  socket: Socket,
  isAllowed: (transfer: Transfer) => boolean = () => true,
): void {
  let greeting = Buffer.alloc(0);
  socket.on('data', function onData(chunk: Buffer) {
    greeting = Buffer.concat([greeting, chunk]);
    if (greeting.length < HELLO_BYTES) return;
    socket.removeListener('data', onData);
    const transfer = readHello(greeting);
    if (transfer === undefined || !isAllowed(transfer)) {
      socket.destroy(new Error('the client asked for no transfer that is served here'));
      return;
    }
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
