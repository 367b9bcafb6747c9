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
  readonly ours: readonly Entry[];
  readonly reason: string;
}

export const differences: readonly Difference[] = [
  ...['client', 'accepted'].map((lane) => ({
    scenario: 'handles: the handle of a socket',
    lane,
    plain: ['has a descriptor', true],
    ours: [['has a descriptor', false]],
    reason: 'a connection over a queue pair or shared memory has no descriptor of its own',
  })),
  {
    scenario: 'hooks: each resource that ran is destroyed',
    lane: 'hooks',
    plain: ['left', []],
    ours: [['left', ['JSSTREAM', 'JSSTREAM']]],
    reason:
      'Node tells of the end of a JSStream when it has been collected, and of TCP at its close',
  },
  {
    scenario: 'handles: a socket sent to a child process',
    lane: 'accepted',
    plain: ['sent', { message: 'take this', hasSocket: true }],
    ours: [
      ['throws', { TypeError: 'This handle type cannot be sent', code: 'ERR_INVALID_HANDLE_TYPE' }],
      ['is still there', false, 1],
    ],
    reason: 'what the connection consists of belongs to its process',
  },
];

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
    entries.splice(at, 1, ...ours);
  }
  return lanes;
}
