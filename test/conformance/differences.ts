/**
 * What sockets on other transports show and plain net does not: the whole list, each with its reason.
 * What a program could stumble over is in the README under Limits.
 */
import type { Entry, Lanes } from './transcript';

export interface Difference {
  /** The scenario in which it is seen. */
  readonly scenario: string;
  readonly lane: string;
  readonly plain: Entry;
  readonly ours: Entry;
  readonly reason: string;
}

export const differences: readonly Difference[] = [];

/** What a scenario should show on another transport, given what it shows with plain net. */
export function expected(name: string, plain: Lanes, list = differences): Lanes {
  const lanes = Object.fromEntries(
    Object.entries(plain).map(([lane, entries]) => [lane, [...entries]]),
  );
  for (const { scenario, lane, plain: entry, ours } of list) {
    if (scenario !== name) continue;
    const entries = lanes[lane] ?? [];
    const at = entries.findIndex((each) => JSON.stringify(each) === JSON.stringify(entry));
    if (at < 0) throw new Error(`${name}: plain net does not show ${JSON.stringify(entry)}`);
    entries[at] = ours;
  }
  return lanes;
}
