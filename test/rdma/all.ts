/**
 * Every test of the RDMA path that needs one host, in one process and one boot of the guest: run by
 * ../lab-guest.test.ts, or by hand:
 *
 *     npm run --silent lab -- run node dist/test/rdma/all.js [NAME...]
 */
import { conformanceTests } from '../conformance/conformance';
import { commandTests } from './commands';
import { consumerTests } from './consumers';
import { countersTests } from './counters';
import { curlTests } from './curl';
import { deviceLossTests } from './device-loss';
import { doctorTests } from './doctor';
import { environmentTests } from './environments';
import { exampleTests } from './examples';
import { fairnessTests } from './fairness';
import { fallbackTests, missingRdmaTests } from './fallback';
import { runGroups } from './groups';
import { hostileTests } from './hostile';
import { httpTests } from './http';
import { inPlaceTests } from './in-place';
import { interopTests } from './interop';
import { keepaliveTests } from './keepalive';
import { limitsTests } from './limits';
import { loopDelayTests } from './loop-delay';
import { lab } from './place';
import { networkRaceTests, raceTests } from './races';
import { scaleTests } from './scale';
import { statusTests } from './status';
import { transferTests } from './transfers';

const groups: Record<string, () => void> = {
  interop: interopTests,
  curl: curlTests,
  transfers: () => transferTests(lab),
  fairness: () => fairnessTests(lab),
  http: () => httpTests(lab),
  consumers: () => consumerTests(lab),
  examples: () => exampleTests(lab),
  commands: () => commandTests(lab),
  counters: () => countersTests(lab),
  'in-place': () => inPlaceTests(lab),
  conformance: () => conformanceTests(lab, ['require']),
  scale: scaleTests,
  keepalive: keepaliveTests,
  'loop-delay': () => loopDelayTests(lab),
  limits: () => limitsTests(lab),
  status: () => statusTests(lab),
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
  doctor: doctorTests,
  // Last: it takes the device away.
  'device-loss': deviceLossTests,
};

// Both ends of most tests are in one guest: shared memory would be faster, and is not meant here.
process.env.RDMA_NET_TRANSPORTS = 'rdma';

runGroups(groups);
