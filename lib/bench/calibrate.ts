/** Finds how much is to be transferred in a given time. */

import type { Transfer } from './transfer';

/** A kind of transfer, of which the length grows with the scale. */
export interface Scalable {
  transfer(scale: number): Transfer;
}

/** Who transfers. */
export interface Transferrer {
  transfer(transfer: Transfer): Promise<{ seconds: number }>;
}

/** Finds how long a transfer has to be to take the time asked for; warms everything up, too. */
export async function calibrate(
  workload: Scalable,
  contestant: Transferrer,
  seconds: number,
): Promise<Transfer> {
  let scale = 1;
  for (;;) {
    const transfer = workload.transfer(scale);
    const taken = (await contestant.transfer(transfer)).seconds;
    const missing = seconds / taken;
    if (missing <= 4) return workload.transfer(Math.max(1, Math.round(scale * missing)));
    scale = Math.ceil(scale * Math.min(missing, 16));
  }
}
