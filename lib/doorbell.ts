/**
 * Rings for many writes at once: what a tick writes shares work requests, which is worth more to the
 * device than any of the writes coming a few microseconds earlier. Only the first leaves at once:
 * somebody may wait for just that.
 *
 *     write (leaves), write, write ... ticks and microtasks ... ring -> transport.flush
 *
 * Writes made while an event is delivered to a stream are rung for when that delivery is over, all
 * others at the end of their tick. More than the native side wants to hold back leaves at once.
 */

import { rootScope } from './scope';

/** Something that has held back what it sends. */
export interface Bell {
  /** Sends it; called once for each {@link ringLater}. */
  ring(): void;
}

const waiting: Bell[] = [];
let scheduled = false;
let delivering = false;

/** Rings soon; the caller asks once until it has been rung. */
export function ringLater(bell: Bell): void {
  waiting.push(bell);
  if (delivering || scheduled) return;
  scheduled = true;
  // Whoever writes first must not lend its AsyncLocalStorage to what is sent for all.
  rootScope().runInAsyncScope(schedule);
}

function schedule(): void {
  process.nextTick(ringScheduled);
}

function ringScheduled(): void {
  scheduled = false;
  ringAll();
}

function ringAll(): void {
  // Ringing runs no code of the program, so that nobody is added meanwhile.
  for (const bell of waiting) bell.ring();
  waiting.length = 0;
}

/** From here to {@link endDelivery} nothing is scheduled: that rings for all. */
export function beginDelivery(): void {
  delivering = true;
}

/** After the handlers and their ticks, whether or not they have thrown. */
export function endDelivery(): void {
  delivering = false;
  ringAll();
}
