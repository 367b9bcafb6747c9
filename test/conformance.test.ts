/** Whether sockets over shared memory behave as those of plain net, in everything that net has. */
import { conformanceTests } from './conformance/conformance';
import { here } from './rdma/place';

conformanceTests(here('local', 4), ['require', 'prefer'], process.argv.slice(2));
