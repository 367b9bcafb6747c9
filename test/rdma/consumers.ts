/** A handful of the consumers of net, over RDMA. `npm run matrix` has them all. */
import t from 'tap';
import { consumers } from '../consumers/consumers';
import { Runner } from '../consumers/runner';
import type { Place } from './place';
import { PATIENT } from './program';

const names = ['http2 over TLS', 'tls', 'fetch', 'ws'];

export function consumerTests({ address, transport }: Place): void {
  const major = Number.parseInt(process.versions.node);
  const options = { node: process.execPath, transport, address, timeoutMs: 60_000 };
  const runner = new Runner(options, major, new Map());
  for (const consumer of consumers.filter(({ name }) => names.includes(name))) {
    void t.test(`${consumer.name} works over ${transport}`, PATIENT, async (t) => {
      t.match(await runner.run(consumer), { verdict: 'works', detail: '' });
    });
  }
  void t.test(
    'the programs of the consumers end when nothing is left to do',
    PATIENT,
    async (t) => {
      t.strictSame(await runner.end(), []);
    },
  );
}
