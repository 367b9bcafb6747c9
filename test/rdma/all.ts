/**
 * Every test of the RDMA path that needs one host, in one process and one boot of the guest: run by
 * ../lab-guest.test.ts, or by hand:
 *
 *     npm run --silent lab -- run node dist/test/rdma/all.js [NAME...]
 */
import t from 'tap';
import { environmentTests } from './environments';
import { fallbackTests } from './fallback';
import { httpTests } from './http';
import { interopTests } from './interop';
import { loopDelayTests } from './loop-delay';
import { killLeftovers } from './program';
import { transferTests } from './transfers';

const groups: Record<string, () => void> = {
  interop: interopTests,
  transfers: transferTests,
  http: httpTests,
  'loop-delay': loopDelayTests,
  environments: environmentTests,
  fallback: fallbackTests,
};

t.setTimeout(0);
t.afterEach(killLeftovers);

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !Object.hasOwn(groups, name));
if (unknown.length > 0) {
  throw new Error(`no group ${unknown.join(', ')}; there are ${Object.keys(groups).join(', ')}`);
}
for (const [name, tests] of Object.entries(groups)) {
  if (wanted.length === 0 || wanted.includes(name)) tests();
}
