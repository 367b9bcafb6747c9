/** One thing that the doctor has looked at, and what it makes of it. */

import type { Reason, ReasonCode } from '../reasons';
import type { SystemFacts } from './facts';

/** `problem`: sockets do without RDMA because of it. `warning`: some of them, or less well. */
export type State = 'ok' | 'warning' | 'problem' | 'not-applicable';

/** Ids never change their meaning; new ones may come. */
export interface Check {
  /** What was looked at, as `memory-lock`; several may have the same, as one for each port. */
  id: string;
  state: State;
  /** What was found, in a sentence. */
  text: string;
  /** Commands and settings that change it, one a line; with a problem or warning only. */
  fix?: string[];
  /** The code of the reason that sockets have for being on TCP, where it is known. */
  reason?: ReasonCode;
}

export function ok(id: string, text: string): Check {
  return { id, state: 'ok', text };
}

export function notApplicable(id: string, text: string): Check {
  return { id, state: 'not-applicable', text };
}

export function warning(id: string, text: string, fix: string[]): Check {
  return { id, state: 'warning', text, fix };
}

export function problem(id: string, text: string, fix: string[], reason?: ReasonCode): Check {
  return { id, state: 'problem', text, fix, ...(reason === undefined ? {} : { reason }) };
}

/** Of a reason, with its own advice unless there is a better one. */
export function problemOf(
  id: string,
  { code, text, detail, fix }: Reason,
  better?: string[],
): Check {
  const lines = better ?? (fix === '' ? [] : [fix]);
  return problem(id, detail === '' ? text : `${text} (${detail})`, lines, code);
}

/** As this user has to write a command for root. */
export function asRoot({ userId }: SystemFacts, command: string): string {
  return userId === 0 ? command : `sudo ${command}`;
}
