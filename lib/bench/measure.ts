/** The measurement of `rdma-net bench`: interleaved rounds over every transport. */

import { once } from 'node:events';
import type { Socket } from 'node:net';
import { RdmaUnavailableError } from '../errors';
import { configure } from '../install';
import type { TransportName } from '../mode';
import { connect } from '../net';
import { rotated, spreadOf } from '../statistics';
import { rdmaTransport } from '../transport';
import { calibrate, type Transferrer } from './calibrate';
import { transferAsClient, type Transfer, type Transferred } from './transfer';
import { benchWorkloads, type BenchWorkload, type Figure } from './workloads';

/** Where the other side is, and what is asked for. */
export interface BenchOptions {
  readonly host: string;
  readonly port: number;
  readonly transports: readonly TransportName[];
  /** How long all of it is to take, about. */
  readonly seconds: number;
  readonly rounds: number;
  /** Told what is being done. */
  readonly say: (text: string) => void;
}

/** What was measured of one kind of transfer over one transport. */
export interface Measurement {
  readonly workload: string;
  readonly transport: TransportName;
  readonly unit: BenchWorkload['unit'];
  readonly median: number;
  readonly least: number;
  readonly most: number;
  /** The median of what the rounds gave; null where it makes no sense. */
  readonly p99: number | null;
  /** In their order. */
  readonly rounds: readonly number[];
}

/** A transport that cannot be had between the two, and why. */
export interface Unavailable {
  readonly transport: TransportName;
  readonly code: string;
  readonly text: string;
}

/** What all of it gave. */
export interface BenchResult {
  readonly measurements: readonly Measurement[];
  readonly unavailable: readonly Unavailable[];
}

const CONNECT_MS_MAX = 10_000;
/** Of silence in the middle of a transfer. */
const IDLE_MS_MAX = 20_000;
const PROBE: Transfer = { bytes: 64, count: 1, turns: 1, echo: true };

/** Settings hold for sockets that are made from now on: one after the other. */
function allowOnly(transport: TransportName): void {
  if (transport === 'tcp') configure({ mode: 'off', rules: [] });
  else configure({ mode: 'require', transports: [transport], rules: [] });
}

async function connected(socket: Socket): Promise<void> {
  const timer = setTimeout(() => {
    socket.destroy(new Error('nobody answered in time'));
  }, CONNECT_MS_MAX);
  try {
    await once(socket, 'connect');
  } finally {
    clearTimeout(timer);
  }
}

/** Transfers to one host over one transport. */
class Contestant implements Transferrer {
  readonly transport: TransportName;
  readonly #options: BenchOptions;

  constructor(transport: TransportName, options: BenchOptions) {
    this.transport = transport;
    this.#options = options;
  }

  async transfer(transfer: Transfer): Promise<Transferred> {
    const { host, port } = this.#options;
    allowOnly(this.transport);
    const socket = connect({ host, port, noDelay: true });
    try {
      await connected(socket);
      if (socket.transport !== this.transport) {
        throw new Error(`the socket runs on ${String(socket.transport)}, not ${this.transport}`);
      }
      socket.setTimeout(IDLE_MS_MAX, () => {
        socket.destroy(new Error('the other side went silent'));
      });
      return await transferAsClient(socket, transfer);
    } finally {
      await closed(socket);
    }
  }
}

async function closed(socket: Socket): Promise<void> {
  socket.removeAllListeners('end');
  socket.on('error', () => undefined);
  socket.end();
  if (!socket.closed) await once(socket, 'close');
}

function describe(transport: TransportName, error: unknown): Unavailable {
  const { code = 'failed', message, cause } = error as NodeJS.ErrnoException;
  // What this host lacks is of more interest than what this address has to do with it.
  const missing = transport === 'rdma' ? rdmaTransport.unavailable(true) : undefined;
  const unavailable = missing === undefined ? cause : new RdmaUnavailableError(missing);
  if (unavailable instanceof RdmaUnavailableError) {
    return { transport, code: unavailable.reason.code, text: unavailable.message };
  }
  const why = cause instanceof Error ? ` (${cause.message})` : '';
  return { transport, code, text: `${message}${why}` };
}

function summarize(
  workload: BenchWorkload,
  transport: TransportName,
  figures: readonly Figure[],
): Measurement {
  const rounds = figures.map(({ value }) => value);
  const p99s = figures.flatMap(({ p99 }) => (p99 === null ? [] : [p99]));
  const p99 = p99s.length === 0 ? null : spreadOf(p99s).median;
  const { name, unit } = workload;
  return { workload: name, transport, unit, ...spreadOf(rounds), p99, rounds };
}

interface Entry {
  readonly workload: BenchWorkload;
  readonly contestant: Contestant;
  readonly transfer: Transfer;
  readonly figures: Figure[];
}

async function findContestants(
  options: BenchOptions,
): Promise<{ contestants: Contestant[]; unavailable: Unavailable[] }> {
  const contestants: Contestant[] = [];
  const unavailable: Unavailable[] = [];
  for (const transport of options.transports) {
    options.say(`connecting over ${transport}`);
    const contestant = new Contestant(transport, options);
    try {
      await contestant.transfer(PROBE);
      contestants.push(contestant);
    } catch (error) {
      unavailable.push(describe(transport, error));
    }
  }
  return { contestants, unavailable };
}

/** Measures over those of the transports that can be had; rejects when a transfer fails later. */
export async function measure(options: BenchOptions): Promise<BenchResult> {
  const { rounds, say } = options;
  const { contestants, unavailable } = await findContestants(options);
  const seconds = options.seconds / (rounds * benchWorkloads.length * contestants.length);
  const entries: Entry[] = [];
  for (const workload of benchWorkloads) {
    for (const contestant of contestants) {
      say(`warming up: ${workload.name} over ${contestant.transport}`);
      const transfer = await calibrate(workload, contestant, seconds);
      entries.push({ workload, contestant, transfer, figures: [] });
    }
  }
  for (let round = 0; round < rounds; round++) {
    for (const workload of benchWorkloads) {
      const own = entries.filter((entry) => entry.workload === workload);
      for (const { contestant, transfer, figures } of rotated(own, round)) {
        const figure = workload.figureOf(transfer, await contestant.transfer(transfer));
        figures.push(figure);
        const text = `${figure.value.toFixed(workload.digits)} ${workload.unit}`;
        say(
          `round ${round + 1} of ${rounds}: ${workload.name} over ${contestant.transport}: ${text}`,
        );
      }
    }
  }
  const measurements = entries.map(({ workload, contestant, figures }) =>
    summarize(workload, contestant.transport, figures),
  );
  return { measurements, unavailable };
}
