/** C rsockets programs as peers: rstream of rdma-core against Node, in both directions. */
import t, { type Test } from 'tap';
import { PATIENT, Program, run } from './program';
import { resourcesOf } from './resources';
import { bytesEachWay, librspreload, rstreamArguments, rstreamRuns } from './rstream';
import type { RstreamRun } from './rstream';

const ADDRESS = '10.77.0.1';
/** INTEROP=whole: every mode with every size. */
const runs = rstreamRuns(process.env.INTEROP === 'whole');
/** rstream as a program of plain sockets, which librspreload turns into rsockets. */
const plain: RstreamRun[] = [
  { mode: 'nonblocking', options: ['-T', 's'], bytes: 64, count: 20, iterations: 2 },
  { mode: 'poll', options: ['-T', 's', '-T', 'a'], bytes: 4096, count: 8, iterations: 2 },
  { mode: 'blocking', options: ['-T', 's', '-T', 'b'], bytes: 1 << 20, count: 1, iterations: 2 },
  { mode: 'fork', options: ['-T', 'f', '-T', 'b'], bytes: 65_536, count: 4, iterations: 2 },
];
const underPreload = ['env', `LD_PRELOAD=${librspreload()}`];

async function rstream(
  wrapper: string[],
  args: string[],
  onOutput?: () => void,
): ReturnType<typeof run> {
  const [command = '', ...rest] = [...wrapper, 'rstream', ...args];
  return run(command, rest, onOutput);
}

/** rstream as the client of a Node echo server, one run after the other. */
async function clientsTalk(t: Test, runs: RstreamRun[], wrapper: string[] = []): Promise<void> {
  const server = new Program('echo-server', { args: ['0', '0.0.0.0'] });
  const { port, transport } = await server.says('listening');
  t.equal(transport, 'rdma');
  for (const [index, each] of runs.entries()) {
    const args = ['-s', ADDRESS, ...rstreamArguments(each, port as number)];
    const { code, output } = await rstream(wrapper, args);
    const title = `${each.bytes} bytes, ${each.mode}`;
    t.equal(code, 0, `rstream has verified ${title}\n${output}`);
    t.notMatch(output, /verification failed|rconnect|rsend|rrecv/);
    t.match(await server.says('connection', index), { transport: 'rdma', peer: 'rsockets' });
    const { bytes } = await server.says('closed', index);
    t.equal(bytes, bytesEachWay(each), `the server had every byte: ${title}`);
  }
  t.same(server.all('error'), []);
  t.match(await server.end(), { code: 0, stderr: '' });
}

/** rstream as the server of a Node client, one run after the other. */
async function serversTalk(t: Test, runs: RstreamRun[], wrapper: string[] = []): Promise<void> {
  const client = new Program('rstream-client', { env: { RDMA_NET: 'require' } });
  for (const [index, each] of runs.entries()) {
    const port = 7600 + index;
    const args = ['-b', ADDRESS, ...rstreamArguments(each, port)];
    let peer = Promise.resolve({ code: null as number | null, output: '' });
    // It prints its table's head when it listens.
    await new Promise<void>((listens) => {
      peer = rstream([...wrapper, 'stdbuf', '--output=L'], args, listens);
    });
    client.tell(`run ${ADDRESS} ${port} ${each.bytes} ${each.count} ${each.iterations}`);
    const title = `${each.bytes} bytes, ${each.mode}`;
    t.match(
      await client.says('done', index),
      { received: bytesEachWay(each), chunksWrong: 0, transport: 'rdma', peer: 'rsockets' },
      title,
    );
    await client.says('closed', index);
    const { code, output } = await peer;
    t.equal(code, 0, `rstream has verified ${title}\n${output}`);
    t.notMatch(output, /verification failed/);
  }
  t.same(client.all('error'), []);
  t.match(await client.end(), { code: 0, stderr: '' });
}

export function interopTests(): void {
  const patient = process.env.INTEROP === 'whole' ? { timeout: 1_800_000 } : PATIENT;

  void t.test('a C rsockets client talks to a Node server', patient, (t) => clientsTalk(t, runs));

  void t.test('a Node client talks to a C rsockets server', patient, (t) => serversTalk(t, runs));

  void t.test('a client of plain sockets under librspreload talks to a Node server', PATIENT, (t) =>
    clientsTalk(t, plain, underPreload),
  );

  void t.test(
    'a Node client talks to a server of plain sockets under librspreload',
    PATIENT,
    // A forked server inherits a connection, which rsockets can only do by a hand-shake of its own
    // over TCP before.
    (t) =>
      serversTalk(
        t,
        plain.filter(({ mode }) => mode !== 'fork'),
        underPreload,
      ),
  );

  void t.test(
    'the queue pairs of a connection are those that the kernel lists',
    PATIENT,
    async (t) => {
      const server = new Program('echo-server', { args: ['0', '0.0.0.0'] });
      const { port } = await server.says('listening');
      const client = new Program('client');
      await client.says('ready');
      client.tell(`open ${ADDRESS} ${port as number} 3`);
      t.same((await client.says('opened')).transports, ['rdma', 'rdma', 'rdma']);
      t.equal((await resourcesOf([server.pid])).queuePairs, 3);
      t.equal((await resourcesOf([client.pid])).queuePairs, 3);
      client.tell('close');
      await client.says('all-closed');
      await client.end();
      await server.end();
    },
  );
}
