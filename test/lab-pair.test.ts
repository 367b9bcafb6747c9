/** Two guests on one network, each with its own RDMA device. */
import path from 'node:path';
import { Writable } from 'node:stream';
import t from 'tap';
import type { LoadResult } from '../benchmarks/http-load';
import { labAvailability, pairInLab } from './lab/lab';

const root = path.join(__dirname, '..', '..');
const node = `node --require ${path.join(root, 'dist', 'lib', 'preload.js')}`;
const PORT = 8099;
const CONNECTIONS = 8;

/** The unmodified server; it ends when the other guest is done. */
const serve = [
  `PORT=${PORT} HOST=10.77.0.1 ${node} ${path.join(root, 'examples', 'http-server.js')} > /tmp/log &`,
  'tail -f /tmp/log | grep -q -m 1 listening',
  'lab-signal listening',
  'lab-wait done',
  'rdma resource show qp',
  'kill -TERM $!; wait $!',
].join('\n');

const load = [
  'lab-wait listening',
  `RDMA_NET=require ${node} ${path.join(root, 'dist', 'benchmarks', 'http-load.js')} ` +
    `http://10.77.0.1:${PORT}/1000 ${CONNECTIONS} 3`,
  'status=$?; lab-signal done; exit $status',
].join('\n');

/** Runs a script in each of two guests; resolves with what they wrote. */
async function inPair(
  commands: [string, string],
): Promise<{ statuses: readonly number[]; output: string }> {
  let output = '';
  const stdout = new Writable({
    write(chunk: Buffer, _encoding, done) {
      output += chunk.toString();
      done();
    },
  });
  const { stderr } = process;
  const { statuses } = await pairInLab({ commands, timeoutSeconds: 180, stdout, stderr });
  return { statuses, output };
}

void (async () => {
  const availability = await labAvailability();
  if (!availability.available) {
    if (process.env.CI) t.fail(`the lab must be there in CI: ${availability.reason}`);
    else t.pass('RDMA between two guests', { skip: availability.reason });
    return;
  }
  await t.test('autocannon loads an http server on another host over RDMA', async (t) => {
    const { statuses, output } = await inPair([serve, load]);
    t.same(statuses, [0, 0], output);
    const line = /^h2\| (\{.*\})$/m.exec(output)?.[1];
    const result = JSON.parse(line ?? '{}') as LoadResult;
    t.same(result.transports, { rdma: CONNECTIONS });
    t.equal(result.failures, 0);
    t.ok(result.requestsPerSecond > 0, `${result.requestsPerSecond} requests a second`);
  });
})();
