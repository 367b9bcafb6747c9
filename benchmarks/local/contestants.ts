/** Who takes part in `npm run bench -- local`. */
import type { PairContestant } from '../pair/compare';
import type { PairWorkload } from '../pair/workloads';
import { overLocal, overTcp } from '../support/environments';

/** Microseconds to look for work before sleeping, for those who have a processor to spare. */
const SPIN_US = 50;

const everything = (): boolean => true;

export const TCP = 'TCP';
export const LOCAL = 'shared memory';
export const SPINNING = `shared memory, spinning ${SPIN_US} us`;

/** Those who take part; `itself` puts TCP into the place of all, to see what a measurement is worth. */
export function localContestants(itself: boolean): PairContestant[] {
  const tcp = { env: overTcp, transport: 'tcp' } as const;
  const ours = { env: overLocal, transport: 'local' } as const;
  const spinning = { ...ours, env: { ...overLocal, RDMA_NET_SPIN_US: String(SPIN_US) } };
  const isRoundTrip = ({ figure }: PairWorkload): boolean => figure === 'round trip';
  return [
    { name: TCP, ...tcp, takesPartIn: everything },
    { name: LOCAL, ...(itself ? tcp : ours), takesPartIn: everything },
    { name: SPINNING, ...(itself ? tcp : spinning), takesPartIn: isRoundTrip },
  ];
}
