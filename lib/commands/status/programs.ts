/** Asks programs what their sockets do. */

import net from 'node:net';
import { PROTOCOL } from '../../monitor/folder';
import type { EnvironmentReport, TotalsReport } from '../../monitor/report';
import { findEndpoints, removeLeftover, type Endpoint } from './finder';
import { AnswerReader, type Answer } from './reading';

/** One environment of a program, with its sockets if these were asked for. */
export type EnvironmentStatus = Omit<EnvironmentReport, 'servers' | 'connections'> &
  Partial<EnvironmentReport>;

/** One program; what is null could not be found out, because it does not answer. */
export interface ProgramStatus {
  pid: number;
  /** The number of the user. */
  user: number;
  /** Whether all of its environments have answered. */
  answers: boolean;
  program: string | null;
  node: string | null;
  /** Of rdma-net. */
  version: string | null;
  mode: string | null;
  transports: string[];
  /** How many rules there are. */
  rules: number;
  uptimeSeconds: number | null;
  /** The main thread first. */
  environments: EnvironmentStatus[];
  totals: TotalsReport;
}

/** How long a program may be silent, in milliseconds: its event loop may be busy. */
const PATIENCE_MS = 3000;
/** How long one may take in all: who says a word now and then keeps nobody waiting. */
const ANSWER_MS_MAX = 30_000;
/** How many are asked at the same time. */
const ASKED_MAX = 32;
/** More than a program with a hundred thousand sockets has to say. */
const ANSWER_LENGTH_MAX = 128 * 1024 * 1024;

/** What came of asking: an answer, nobody there, or no answer. */
type Outcome = Answer | 'gone' | 'silent';

function isGone({ code }: NodeJS.ErrnoException): boolean {
  return code === 'ECONNREFUSED' || code === 'ENOENT';
}

// Of a program with another version of rdma-net nothing can be told.
function isUnderstood({ protocol }: Answer): boolean {
  return protocol === PROTOCOL;
}

function ask({ file }: Endpoint, withSockets: boolean): Promise<Outcome> {
  return new Promise((resolve) => {
    const socket = net.connect({ path: file });
    const reader = new AnswerReader();
    let rest = '';
    let length = 0;
    const late = setTimeout(() => {
      finish('silent');
    }, ANSWER_MS_MAX);
    const finish = (outcome: Outcome): void => {
      clearTimeout(late);
      socket.destroy();
      resolve(outcome);
    };
    const read = (chunk: string): void => {
      length += chunk.length;
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      if (length > ANSWER_LENGTH_MAX) finish('silent');
      for (const line of lines) {
        if (reader.read(line)) finish(isUnderstood(reader.answer) ? reader.answer : 'silent');
        else socket.write('\n');
      }
    };
    socket.setEncoding('utf8');
    socket.setTimeout(PATIENCE_MS, () => {
      finish('silent');
    });
    socket.on('error', (error) => {
      finish(isGone(error) ? 'gone' : 'silent');
    });
    socket.on('close', () => {
      finish('silent');
    });
    socket.on('data', (chunk: string) => {
      try {
        read(chunk);
      } catch {
        finish('silent');
      }
    });
    socket.write(`${JSON.stringify({ protocol: PROTOCOL, sockets: withSockets })}\n`);
  });
}

/** Sums of nothing. */
export function noTotals(): TotalsReport {
  return {
    connections: { local: 0, rdma: 0, tcp: 0 },
    servers: 0,
    bytesReceived: 0,
    bytesSent: 0,
    bytesReceivedInPlace: 0,
    bytesSentInPlace: 0,
    creditStalls: 0,
    pinnedBytes: 0,
    fallbacks: {},
  };
}

function add(sums: TotalsReport, { connections, fallbacks, ...one }: TotalsReport): void {
  for (const name of ['local', 'rdma', 'tcp'] as const) sums.connections[name] += connections[name];
  for (const [code, times = 0] of Object.entries(fallbacks)) {
    const key = code as keyof typeof fallbacks;
    sums.fallbacks[key] = (sums.fallbacks[key] ?? 0) + times;
  }
  for (const key of Object.keys(one) as (keyof typeof one)[]) sums[key] += one[key];
}

/** The sums of several. */
export function sumOf(all: readonly TotalsReport[]): TotalsReport {
  const sums = noTotals();
  for (const one of all) add(sums, one);
  return sums;
}

function environmentOf(answer: Answer, withSockets: boolean): EnvironmentStatus {
  const { thread, program, uptimeSeconds, servers, connections, totals } = answer;
  const sockets = withSockets ? { servers, connections } : {};
  return { thread, program, uptimeSeconds, ...sockets, totals };
}

/** What is known of one program, from those of its environments that have answered. */
function programOf(
  { pid, user }: Endpoint,
  outcomes: readonly Outcome[],
  withSockets: boolean,
): ProgramStatus {
  const answers = outcomes.filter((outcome) => typeof outcome === 'object');
  answers.sort((a, b) => a.thread - b.thread);
  const [first] = answers;
  return {
    pid,
    user,
    answers: answers.length === outcomes.length,
    program: first?.program ?? null,
    node: first?.node ?? null,
    version: first?.version ?? null,
    mode: first?.mode ?? null,
    transports: first?.transports ?? [],
    rules: first?.rules ?? 0,
    uptimeSeconds: first?.uptimeSeconds ?? null,
    environments: answers.map((answer) => environmentOf(answer, withSockets)),
    totals: sumOf(answers.map(({ totals }) => totals)),
  };
}

/**
 * Asks all programs, or one.
 * @param pid whose sockets are wanted, too; undefined for the totals of all programs
 * @returns in the order of process ids
 */
export async function askPrograms(pid: number | undefined): Promise<ProgramStatus[]> {
  const withSockets = pid !== undefined;
  const waiting = findEndpoints().filter((endpoint) => !withSockets || endpoint.pid === pid);
  const outcomes = new Map<Endpoint, Outcome>();
  const askNext = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const outcome = await ask(next, withSockets);
      if (outcome === 'gone') removeLeftover(next);
      else outcomes.set(next, outcome);
    }
  };
  await Promise.all(Array.from({ length: ASKED_MAX }, askNext));
  const byProgram = new Map<string, Endpoint[]>();
  for (const endpoint of outcomes.keys()) {
    const key = `${endpoint.pid}/${endpoint.name.pidNamespace}`;
    byProgram.set(key, [...(byProgram.get(key) ?? []), endpoint]);
  }
  const programs = [...byProgram.values()].flatMap((endpoints) => {
    const [first] = endpoints;
    const all = endpoints.flatMap((endpoint) => outcomes.get(endpoint) ?? []);
    return first === undefined ? [] : [programOf(first, all, withSockets)];
  });
  return programs.sort((a, b) => a.pid - b.pid);
}
