/** Two guests on one network, each with its own RDMA device. */
import path from 'node:path';
import { Writable } from 'node:stream';
import t from 'tap';
import type { LoadResult } from '../benchmarks/http/load';
import { labAvailability, pairInLab } from './lab/lab';
import type { Saying } from './rdma/program';

const root = path.join(__dirname, '..', '..');
const node = `node --require ${path.join(root, 'dist', 'lib', 'preload.js')}`;
const PORT = 8099;
const CONNECTIONS = 8;
const TIMEOUT_SECONDS = 180;

/** The unmodified server; it ends when the other guest is done. */
const serve = [
  'mkfifo /tmp/log',
  `PORT=${PORT} HOST=10.77.0.1 ${node} ${path.join(root, 'examples', 'http-server.js')} > /tmp/log &`,
  'exec 3< /tmp/log',
  'read -r line <&3 || exit 1',
  'lab-signal listening',
  'lab-wait done',
  'rdma resource show qp',
  'kill -TERM $!; wait $!',
].join('\n');

const load = [
  'lab-wait listening',
  `RDMA_NET=require ${node} ${path.join(root, 'dist', 'benchmarks', 'http', 'load.js')} ` +
    `http://10.77.0.1:${PORT}/1000 ${CONNECTIONS} 3`,
  'status=$?; lab-signal done; exit $status',
].join('\n');

const programs = path.join(root, 'dist', 'test', 'rdma', 'programs');

/** A program that never hears of its end: the link goes down beneath it. */
const vanish = [
  'mkfifo /tmp/input /tmp/log',
  'exec 4<> /tmp/input',
  `${node} ${path.join(programs, 'idle.js')} server 10.77.0.1 ${PORT} < /tmp/input > /tmp/log &`,
  'exec 3< /tmp/log',
  'read -r line <&3 || exit 1',
  'lab-signal listening',
  'lab-wait connected && ip link set eth0 down && lab-signal down && lab-wait missed',
].join('\n');

const miss = [
  'lab-wait listening || exit 1',
  `RDMA_NET=require ${node} ${path.join(programs, 'vanishing.js')} 10.77.0.1 ${PORT}`,
  'status=$?; lab-signal missed; exit $status',
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
  const { statuses } = await pairInLab({
    commands,
    timeoutSeconds: TIMEOUT_SECONDS,
    stdout,
    stderr,
  });
  return { statuses, output };
}

void (async () => {
  const availability = await labAvailability();
  if (!availability.available) {
    if (process.env.CI) t.fail(`the lab must be there in CI: ${availability.reason}`);
    else t.pass('RDMA between two guests', { skip: availability.reason });
    return;
  }
  // The lab ends a guest that hangs, and then there is something to read about it.
  const bounded = { timeout: (TIMEOUT_SECONDS + 60) * 1000 };
  t.setTimeout(2 * bounded.timeout);
  await t.test('autocannon loads an http server on another host over RDMA', bounded, async (t) => {
    const { statuses, output } = await inPair([serve, load]);
    t.same(statuses, [0, 0], output);
    const line = /^h2\| (\{.*\})$/m.exec(output)?.[1];
    const result = JSON.parse(line ?? '{}') as LoadResult;
    t.same(result.transports, { rdma: CONNECTIONS });
    t.equal(result.failures, 0);
    t.ok(result.requestsPerSecond > 0, `${result.requestsPerSecond} requests a second`);
  });
  await t.test(
    'a host that vanished is missed by setKeepAlive, and by writes',
    bounded,
    async (t) => {
      const { statuses, output } = await inPair([vanish, miss]);
      t.same(statuses, [0, 0], output);
      const said = output
        .split('\n')
        .filter((line) => line.startsWith('h2| {'))
        .map((line) => JSON.parse(line.slice('h2| '.length)) as Saying);
      const errorOf = (name: string) =>
        said.find((one) => one.event === 'error' && one.name === name);
      const timedOut = { code: 'ETIMEDOUT', syscall: 'read' };
      t.match(said, [{ event: 'connected', transports: ['rdma', 'rdma', 'rdma'] }], output);
      // Whether the device or the engine is the first to give up is up to the device.
      const cause = /^ERR_RDMA_(TIMED_OUT|RETRIES_EXCEEDED)$/;
      t.match(errorOf('watched'), { ...timedOut, cause }, output);
      t.match(errorOf('writing'), { ...timedOut, cause: 'ERR_RDMA_RETRIES_EXCEEDED' }, output);
      t.ok(Number(errorOf('watched')?.ms) < 20_000, 'a delay of 1 s and 10 s without an answer');
      t.match(said.at(-1), { event: 'idle', destroyed: false }, 'nobody asked after the third');
    },
  );
})();
