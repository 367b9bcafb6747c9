import { type Writable } from 'node:stream';

import { Guest, GuestFailure } from './guest';
import { type Machine, qemuArguments } from './qemu';
import { type Installation } from './setup';

const timedOutStatus = 124;
const failedStatus = 125;
const consoleTailLines = 40;
const dumpMillisecondsMax = 3_000;

/** One guest of a session and what it is to do. */
export interface Member {
  readonly label: string;
  readonly machine: Machine;
  readonly script: string;
  readonly stdout: Writable;
  readonly stderr: Writable;
}

export interface SessionLimits {
  readonly timeoutSeconds: number;
  readonly verbose: boolean;
  readonly signal: AbortSignal | undefined;
  /** For the lab's own lines. */
  readonly stderr: Writable;
}

export interface SessionResult {
  /** One per member: of its script, or 124 after the timeout, or 125 when its guest failed. */
  readonly statuses: readonly number[];
  readonly timedOut: boolean;
  readonly bootSeconds: number;
  readonly commandSeconds: number;
}

/**
 * Boots every member's guest, starts the scripts when all are up, passes signals between them, and
 * ends all guests when all scripts have ended, or at the timeout, or when one guest fails.
 *
 * @throws the abort signal's reason.
 */
export async function runSession(
  members: readonly Member[],
  installation: Installation,
  limits: SessionLimits,
): Promise<SessionResult> {
  limits.signal?.throwIfAborted();
  const say = (line: string) => limits.stderr.write(`lab: ${line}\n`);
  const guests = members.map((member) => boot(member, installation, limits.verbose ? say : null));
  const session = new Session(members, guests);
  const killAll = () => guests.forEach((guest) => guest.kill());
  limits.signal?.addEventListener('abort', killAll);
  const timer = setTimeout(() => void session.expire(), limits.timeoutSeconds * 1000);
  let failure: GuestFailure | undefined;
  try {
    await session.run();
  } catch (error) {
    if (!(error instanceof GuestFailure)) throw error;
    failure = error;
  } finally {
    clearTimeout(timer);
    await Promise.all(guests.map((guest) => guest.stop()));
    limits.signal?.removeEventListener('abort', killAll);
  }
  limits.signal?.throwIfAborted();
  const result = session.result();
  if (session.timedOut) say(`killed at the timeout of ${limits.timeoutSeconds} s`);
  else if (failure !== undefined) say(failure.message);
  if (session.timedOut || failure !== undefined) showConsoles(members, guests, say);
  else if (limits.verbose) say(timings(result));
  return result;
}

/** A boot's and a command's time, in words. */
export function timings({ bootSeconds, commandSeconds }: SessionResult): string {
  return `boot ${bootSeconds.toFixed(1)} s, command ${commandSeconds.toFixed(1)} s`;
}

class Session {
  timedOut = false;
  readonly #members: readonly Member[];
  readonly #guests: readonly Guest[];
  readonly #statuses: (number | undefined)[];
  readonly #bootStart = performance.now();
  #commandStart: number | undefined;
  #commandEnd: number | undefined;

  constructor(members: readonly Member[], guests: readonly Guest[]) {
    this.#members = members;
    this.#guests = guests;
    this.#statuses = members.map(() => undefined);
  }

  async run(): Promise<void> {
    for (const guest of this.#guests) {
      guest.onSignal = (signal) => this.#guests.forEach((each) => each.signal(signal));
    }
    await Promise.all(this.#guests.map((guest) => guest.ready));
    this.#commandStart = performance.now();
    await Promise.all(this.#guests.map((guest, index) => this.#runOne(guest, index)));
    this.#commandEnd = performance.now();
    await Promise.all(this.#guests.map((guest) => guest.finish()));
  }

  async #runOne(guest: Guest, index: number): Promise<void> {
    const member = this.#members[index] as Member;
    const status = await guest.run(member.script);
    this.#statuses[index] = status;
    for (const other of this.#guests) {
      if (other !== guest) other.endSignals(`${member.label} ended (status ${status}) without it`);
    }
  }

  /** Ends the session for lack of time, after asking the guests what they are doing. */
  async expire(): Promise<void> {
    this.timedOut = true;
    await Promise.all(this.#guests.map((guest) => guest.dump(dumpMillisecondsMax)));
    this.#guests.forEach((guest) => guest.kill());
  }

  result(): SessionResult {
    const now = performance.now();
    const start = this.#commandStart;
    const missing = this.timedOut ? timedOutStatus : failedStatus;
    return {
      statuses: this.#statuses.map((status) => (this.timedOut ? missing : (status ?? missing))),
      timedOut: this.timedOut,
      bootSeconds: ((start ?? now) - this.#bootStart) / 1000,
      commandSeconds: start === undefined ? 0 : ((this.#commandEnd ?? now) - start) / 1000,
    };
  }
}

function boot(
  member: Member,
  installation: Installation,
  say: ((line: string) => void) | null,
): Guest {
  const { label, machine, stdout, stderr } = member;
  if (say === null) return new Guest(machine, installation, { stdout, stderr });
  say(`${label}: qemu-system-x86_64 ${qemuArguments(machine, installation).join(' ')}`);
  const onConsoleLine = (line: string) => say(`${label} console: ${line}`);
  return new Guest(machine, installation, { stdout, stderr, onConsoleLine });
}

function showConsoles(
  members: readonly Member[],
  guests: readonly Guest[],
  say: (line: string) => void,
): void {
  guests.forEach((guest, index) => {
    const label = members[index]?.label ?? 'guest';
    const tail = guest.consoleTail(consoleTailLines);
    say(`${label}: the end of its console${tail.length === 0 ? ' (nothing)' : ''}`);
    for (const line of tail) say(`${label} console: ${line}`);
  });
}
