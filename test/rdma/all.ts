/**
 * Every test of the RDMA path that needs one host, in one process and one boot of the guest: run by
 * ../lab-guest.test.ts, or by hand:
 *
 *     npm run --silent lab -- run node dist/test/rdma/all.js [NAME...]
 */
import t from 'tap';
import { conformanceTests } from '../conformance/conformance';
import { consumerTests } from './consumers';
import { countersTests } from './counters';
import { curlTests } from './curl';
import { deviceLossTests } from './device-loss';
import { environmentTests } from './environments';
import { fairnessTests } from './fairness';
import { fallbackTests, missingRdmaTests } from './fallback';
import { hostileTests } from './hostile';
import { httpTests } from './http';
import { inPlaceTests } from './in-place';
import { interopTests } from './interop';
import { keepaliveTests } from './keepalive';
import { limitsTests } from './limits';
import { loopDelayTests } from './loop-delay';
import { lab } from './place';
import { killLeftovers } from './program';
import { networkRaceTests, raceTests } from './races';
import { scaleTests } from './scale';
import { transferTests } from './transfers';

const groups: Record<string, () => void> = {
  interop: interopTests,
  curl: curlTests,
  transfers: () => transferTests(lab),
  fairness: () => fairnessTests(lab),
  http: () => httpTests(lab),
  consumers: () => consumerTests(lab),
  counters: () => countersTests(lab),
  'in-place': () => inPlaceTests(lab),
  conformance: () => conformanceTests(lab, ['require']),
  scale: scaleTests,
  keepalive: keepaliveTests,
  'loop-delay': () => loopDelayTests(lab),
  limits: limitsTests,
  environments: () => environmentTests(lab),
  hostile: hostileTests,
  races: () => {
    raceTests(lab);
    networkRaceTests();
  },
  fallback: () => {
    fallbackTests(lab);
    missingRdmaTests();
  },
  // Last: it takes the device away.
  'device-loss': deviceLossTests,
};

// Both ends of most tests are in one guest: shared memory would be faster, and is not meant here.
process.env.RDMA_NET_TRANSPORTS = 'rdma';

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
