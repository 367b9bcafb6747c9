/** Who takes part in `npm run bench`, by the names that `--transports` takes. */
import { overLocal, overRdma, overTcp } from '../support/environments';
import type { PairContestant } from '../pair/compare';

export interface MatrixContestant extends Omit<PairContestant, 'name' | 'takesPartIn'> {
  /** For readers. */
  title: string;
}

/**
 * A thousand connections with a body of 1 MiB each want more than the default of 256 MiB, and those of
 * the measurement before may not have given back theirs.
 */
const memory = { RDMA_NET_PINNED_BYTES_MAX: String(16 * 2 ** 30) };

/** Those named first are what others are compared with. */
export const matrixContestants: Record<string, MatrixContestant> = {
  tcp: { title: 'TCP', env: overTcp, transport: 'tcp' },
  local: {
    title: 'shared memory',
    env: { ...overLocal, ...memory },
    transport: 'local',
  },
  rdma: { title: 'RDMA', env: overRdma, transport: 'rdma' },
};
