/** `rdma-net status`: what the sockets of running programs do. */

import { setTimeout as sleep } from 'node:timers/promises';
import { ExitStatus, UsageError, type Command } from './command';
import { showJson, showJsonLine } from './json';
import { parseNumber, parseOptions } from './options';
import { askPrograms, sumOf, type ProgramStatus } from './status/programs';
import { whyMissing } from './status/missing';
import { Rates, SORT_KEYS, rowsOf, sortRows, type SortKey } from './status/rates';
import { showAll, showOne } from './status/text';
import { painterFor } from './terminal';

/** What the command line asks for. */
interface Wish {
  readonly pid: number | undefined;
  readonly json: boolean;
  /** Undefined for all of them. */
  readonly top: number | undefined;
  readonly sort: SortKey | undefined;
  /** Seconds from one look to the next; undefined for a single one. */
  readonly watch: number | undefined;
  /** How many looks, if watched. */
  readonly count: number;
}

const TOP = 50;
const WATCH_SECONDS = 2;
const WATCH_SECONDS_MAX = 3600;
/** More seconds than these are only taken with `=`: they could be a process id. */
const ALONE_SECONDS_MAX = 60;
/** Lines of a terminal that are not for connections. */
const OTHER_LINES = 16;

function whole(name: string, text: string, min: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && Number.isSafeInteger(value)) return value;
  throw new UsageError(
    `${name} is ${JSON.stringify(text)}; expected a whole number from ${min} on`,
  );
}

function sortKey(text: string): SortKey {
  const found = SORT_KEYS.find((key) => key === text);
  if (found !== undefined) return found;
  const expected = SORT_KEYS.join(', ');
  throw new UsageError(`--sort is ${JSON.stringify(text)}; expected one of ${expected}`);
}

// The seconds of --watch can be left out: what follows it is one of them if it is a number, and what
// stands before it is the process id.
function splitWatch(args: readonly string[]): { rest: string[]; watch: number | undefined } {
  const at = args.findIndex((arg) => arg === '--watch' || arg.startsWith('--watch='));
  if (at < 0) return { rest: [...args], watch: undefined };
  const [, inline] = /^--watch=(.*)$/.exec(args[at] ?? '') ?? [];
  const following = args[at + 1];
  const isOwn = inline === undefined && following !== undefined && /^[\d.]+$/.test(following);
  // Whoever means a process gets nothing for a long time.
  if (isOwn && Number(following) > ALONE_SECONDS_MAX) {
    throw new UsageError(
      `--watch ${following} would be seconds; write ${following} --watch for a process, and ` +
        `--watch=${following} for so many seconds`,
    );
  }
  const text = inline ?? (isOwn ? following : String(WATCH_SECONDS));
  const rest = args.filter((_, index) => index !== at && !(isOwn && index === at + 1));
  return { rest, watch: parseNumber('watch', text, [0.1, WATCH_SECONDS_MAX]) };
}

function parse(args: readonly string[]): Wish {
  const { rest, watch } = splitWatch(args);
  const { values, positionals } = parseOptions({
    args: rest,
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      top: { type: 'string' },
      sort: { type: 'string' },
      count: { type: 'string' },
    },
  });
  const [pid, extra] = positionals;
  if (extra !== undefined) throw new UsageError(`found ${JSON.stringify(extra)} after the PID`);
  if (values.count !== undefined && watch === undefined) {
    throw new UsageError('--count is for --watch');
  }
  const { json, top, sort, count } = values;
  return {
    pid: pid === undefined ? undefined : whole('PID', pid, 1),
    json,
    top: top === undefined ? undefined : whole('--top', top, 0),
    sort: sort === undefined ? undefined : sortKey(sort),
    watch,
    count: watch === undefined ? 1 : count === undefined ? Infinity : whole('--count', count, 1),
  };
}

/** Leaves those connections that are wanted, where not all are. */
function limit(program: ProgramStatus, { top, sort }: Wish, rates: Rates, nowMs: number): void {
  if (top === undefined && sort === undefined) return;
  const rows = sortRows(rowsOf(program, rates, nowMs), sort ?? 'bytes');
  const wanted = top === undefined || top === 0 ? rows : rows.slice(0, top);
  for (const environment of program.environments) {
    const own = wanted.filter(({ thread }) => thread === environment.thread);
    environment.connections = own.map(({ connection }) => connection);
  }
}

/** A terminal that does not know its size says 0, and what is no terminal nothing. */
function rowsOfTerminal(): number {
  return process.stdout.rows || 24;
}

/** One look after the other. */
class Looks {
  readonly #wish: Wish;
  readonly #rates = new Rates();

  constructor(wish: Wish) {
    this.#wish = wish;
  }

  get #isOnTerminal(): boolean {
    return process.stdout.isTTY && !this.#wish.json;
  }

  /** Prints what there is now, and tells whether there is such a program, and whether it answers. */
  async look(): Promise<'there' | 'silent' | 'missing'> {
    const programs = await askPrograms(this.#wish.pid);
    if (this.#wish.pid !== undefined && programs.length === 0) return 'missing';
    this.#rates.next();
    const text = this.#wish.json ? this.#json(programs) : this.#text(programs).join('\n');
    if (this.#isOnTerminal && this.#wish.watch !== undefined) this.#redraw(text);
    else process.stdout.write(`${text}\n`);
    const isSilent = programs.some(({ environments }) => environments.length === 0);
    return this.#wish.pid !== undefined && isSilent ? 'silent' : 'there';
  }

  #json(programs: ProgramStatus[]): string {
    if (this.#wish.pid !== undefined) {
      for (const program of programs) limit(program, this.#wish, this.#rates, performance.now());
    }
    const totals = sumOf(programs.map((program) => program.totals));
    const time = new Date().toISOString();
    const show = this.#wish.watch === undefined ? showJson : showJsonLine;
    return show('status', { time, programs, totals });
  }

  #text(programs: ProgramStatus[]): string[] {
    const { watch, pid, top, sort } = this.#wish;
    const fitting = Math.max(rowsOfTerminal() - OTHER_LINES, 5);
    const most = this.#isOnTerminal && watch !== undefined ? fitting : TOP;
    const view = {
      paint: painterFor(process.stdout),
      top: top === 0 ? Infinity : (top ?? most),
      sort: sort ?? (watch === undefined ? 'bytes' : 'rate'),
      rates: watch === undefined ? undefined : this.#rates,
      nowMs: performance.now(),
    };
    if (pid === undefined) {
      const totals = sumOf(programs.map((program) => program.totals));
      return showAll(programs, totals, view);
    }
    return programs.flatMap((program) => showOne(program, view));
  }

  // In one piece, and over what was there before: no flicker.
  #redraw(text: string): void {
    const lines = text.split('\n').slice(0, rowsOfTerminal() - 1);
    const over = lines.map((line) => `${line}\u001b[K`).join('\n');
    // Long lines are cut off while this is printed, and not wrapped.
    process.stdout.write(`\u001b[?7l\u001b[H${over}\n\u001b[J\u001b[?7h`);
  }
}

async function showStatus(args: readonly string[]): Promise<number> {
  const wish = parse(args);
  const looks = new Looks(wish);
  // As of `rdma-net status --watch | head`.
  process.stdout.on('error', () => process.exit(ExitStatus.Ok));
  let found = await looks.look();
  if (found === 'missing') {
    const pid = wish.pid ?? 0;
    console.error(`rdma-net: process ${pid} cannot be asked. ${whyMissing(pid)}`);
    return ExitStatus.Trouble;
  }
  for (let count = 1; count < wish.count; count++) {
    await sleep((wish.watch ?? 0) * 1000);
    found = await looks.look();
    if (found !== 'missing') continue;
    console.error(`rdma-net: the program ${wish.pid ?? ''} has ended.`);
    return ExitStatus.Ok;
  }
  return found === 'silent' ? ExitStatus.Trouble : ExitStatus.Ok;
}

export const status: Command = {
  help: `Usage: rdma-net status [PID] [OPTIONS]

Shows what the sockets of running programs do that use rdma-net: of this user, and for root of all
users. Without PID, one line for each program. With PID, its servers and connections: over what they
go, where to, what has passed, how much of it in place, and why those on TCP are there.

Options:
  --watch [SECONDS]   again and again, every ${WATCH_SECONDS} seconds, with rates, until interrupted;
                      more than ${ALONE_SECONDS_MAX} as --watch=SECONDS
  --count N           with --watch: N times
  --top N             list N connections (${TOP}, or as many as fit); 0 for all
  --sort KEY          by ${SORT_KEYS.join(', ')}; else by bytes, with --watch by rate
  --json              print JSON; with --watch, one line each time

Sockets on TCP that do not keep their program alive (socket.unref(), and idle ones of an http agent)
are not listed.

Status: 0 when it was shown, 1 when there is no such program or it does not answer, 2 when the command
line is wrong.`,
  run: showStatus,
};
