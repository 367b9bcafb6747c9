/** Boots the lab once for all tests of test/rdma that need one host. */
import path from 'node:path';
import t from 'tap';
import { setUpExamples } from './examples/setup';
import { labAvailability } from './lab/lab';
import { buildPeers } from './rdma/peers';

const root = path.join(__dirname, '..', '..');
const TIMEOUT_SECONDS = 1400;

void (async () => {
  const availability = await labAvailability();
  if (!availability.available) {
    if (process.env.CI) t.fail(`the lab must be there in CI: ${availability.reason}`);
    else t.pass('RDMA in the lab', { skip: availability.reason });
    return;
  }
  // The guest has no network to fetch by what the examples, and with them the consumers, need.
  await setUpExamples((line) => t.comment(line));
  const noPeers = await buildPeers();
  if (noPeers !== undefined) {
    // The guest then skips what needs them.
    if (process.env.CI) t.fail(`the peers in C must be there in CI: ${noPeers}`);
    else t.pass('hostile peers', { skip: noPeers });
  }
  t.setTimeout((TIMEOUT_SECONDS + 60) * 1000);
  await t.spawn(
    process.execPath,
    [
      path.join(root, 'dist', 'test', 'lab', 'cli.js'),
      ...['run', '--timeout', String(TIMEOUT_SECONDS), '--cpus', '2', '--memory', '4096'],
      ...['node', path.join(root, 'dist', 'test', 'rdma', 'all.js')],
    ],
    { cwd: root },
    'RDMA in the lab',
  );
})();
