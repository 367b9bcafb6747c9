/**
 * Every test of two programs on one machine, over shared memory: run by ../local.test.ts, or by hand:
 *
 *     node dist/test/local/all.js [NAME...]
 *
 * With LOCAL_OVER=tcp everything is plain TCP, which tells whether a test itself is right.
 */
import { countersTests } from '../rdma/counters';
import { environmentTests } from '../rdma/environments';
import { fairnessTests } from '../rdma/fairness';
import { fallbackTests } from '../rdma/fallback';
import { runGroups } from '../rdma/groups';
import { httpTests } from '../rdma/http';
import { inPlaceTests } from '../rdma/in-place';
import { limitsTests } from '../rdma/limits';
import { loopDelayTests } from '../rdma/loop-delay';
import { here } from '../rdma/place';
import { raceTests } from '../rdma/races';
import { transferTests } from '../rdma/transfers';
import { addressTests } from './addresses';
import { clusterTests } from './cluster';
import { crowdTests } from './crowd';
import { killTests } from './kills';
import { meshTests } from './mesh';
import { namespaceTests } from './namespaces';
import { passingTests } from './passing';
import { localStatusTests } from './status';
import { userTests } from './users';

const transport = process.env.LOCAL_OVER === 'tcp' ? 'tcp' : 'local';
process.env.RDMA_NET = transport === 'tcp' ? 'off' : 'require';
process.env.RDMA_NET_TRANSPORTS = 'local';

const place = here(transport, 4);
const placeOfIpv6 = here(transport, 6);
/** Of what cannot be told of plain TCP. */
const onlyLocal = (tests: () => void) => (transport === 'local' ? tests : () => undefined);

const groups: Record<string, () => void> = {
  transfers: () => transferTests(place),
  'transfers-ipv6': () => transferTests(placeOfIpv6),
  fairness: () => fairnessTests(place),
  http: () => httpTests(place),
  'http-ipv6': () => httpTests(placeOfIpv6),
  counters: onlyLocal(() => countersTests(place)),
  'in-place': () => inPlaceTests(place),
  'loop-delay': () => loopDelayTests(place),
  environments: () => environmentTests(place),
  limits: onlyLocal(() => limitsTests(place)),
  fallback: onlyLocal(() => fallbackTests(place)),
  races: onlyLocal(() => raceTests(place)),
  crowd: () => crowdTests(place),
  mesh: () => meshTests(place),
  kills: () => killTests(place),
  cluster: () => clusterTests(place),
  passing: () => passingTests(place),
  addresses: () => addressTests(place),
  namespaces: () => namespaceTests(place),
  status: onlyLocal(() => localStatusTests(place)),
  users: onlyLocal(() => userTests(place)),
};

runGroups(groups);
