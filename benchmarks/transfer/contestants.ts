/** Who takes part in `npm run bench -- lab`. */
import { TransferPair, type Measured } from '../pair/transfer-pair';
import type { Transfer } from '../pair/transfer-peer';
import { overRdma, overTcp } from '../support/environments';
import { ibWriteBw, rstream } from './c-programs';

export interface Contestant {
  transfer(transfer: Transfer): Promise<Measured>;
  end(): Promise<void>;
}

/** Those who take part, by the names they have in the table. */
export async function contestants(address: string): Promise<Record<string, Contestant>> {
  return {
    'rdma-net': await TransferPair.start(address, overRdma),
    rstream: rstream(address, [], 'rdma'),
    'rstream -T b': rstream(address, ['-T', 'b'], 'rdma'),
    ib_write_bw: ibWriteBw(address),
    'Node TCP': await TransferPair.start(address, overTcp),
    'rstream -T s': rstream(address, ['-T', 's'], 'tcp'),
    'rstream -T s -T b': rstream(address, ['-T', 's', '-T', 'b'], 'tcp'),
  };
}
