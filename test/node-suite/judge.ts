/** Whether a test behaves with rdma-net as it does without. */

import { differences } from './differences';
import type { Execution, Mode } from './execute';

/** How often a test is run that has not passed, and a listed one, in its mode and without rdma-net. */
export const REPEATS = 3;

/** All that was run of one test. */
export interface Runs {
  readonly inMode: readonly Execution[];
  /** Without rdma-net; only where {@link inMode} has one that did not pass. */
  readonly plain: readonly Execution[];
}

/**
 * `same` as without rdma-net, be it that both fail; `known`: another outcome, and listed why;
 * `new`: another outcome, not listed; `unsteady`: sometimes another outcome, where it is steady
 * without; `stale`: listed, and passes steadily.
 */
export type Verdict = 'same' | 'known' | 'new' | 'unsteady' | 'stale';

function passes({ outcome }: Execution): boolean {
  return outcome === 'pass' || outcome === 'skip';
}

/** Whether a test has to be run again to be judged. */
export function isOpen(name: string, mode: Mode, { inMode, plain }: Runs): boolean {
  if (mode === 'plain') return false;
  const allPass = inMode.every(passes);
  if (allPass) return isListed(name, mode) && inMode.length < REPEATS;
  return inMode.length < REPEATS || plain.length < REPEATS;
}

export function judge(name: string, mode: Mode, { inMode, plain }: Runs): Verdict {
  const isKnown = isListed(name, mode);
  const passed = inMode.filter(passes).length;
  if (passed === inMode.length) return isKnown ? 'stale' : 'same';
  const plainPassed = plain.filter(passes).length;
  // Fails without rdma-net, or does so now and then.
  if (plainPassed === 0 || (passed > 0 && plainPassed < plain.length)) return 'same';
  if (isKnown) return 'known';
  return passed > 0 ? 'unsteady' : 'new';
}

function isListed(name: string, mode: Mode): boolean {
  return mode === 'local' && Object.hasOwn(differences, name);
}
