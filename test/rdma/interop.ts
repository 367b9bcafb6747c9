/** C rsockets programs as peers: rstream of rdma-core against Node, in both directions. */
import t from 'tap';
import { PATIENT, Program, run } from './program';
import { resourcesOf } from './resources';

const ADDRESS = '10.77.0.1';
/** Bytes of a transfer, and how many transfers and rounds keep it short on an emulated CPU. */
const sizes: [number, number, number][] = [
  [1, 20, 2],
  [7, 20, 2],
  [64, 20, 2],
  [4096, 8, 2],
  [65_536, 4, 2],
  [1_048_576, 1, 2],
];
/** rstream's -T options; it verifies data with `v`. */
const modes: [string, string][] = [
  ['asynchronous', 'a'],
  ['blocking', 'b'],
];

function rstreamArguments(mode: string, size: [number, number, number], port: number): string[] {
  const [bytes, count, iterations] = size;
  return [
    ...['-S', String(bytes), '-C', String(count), '-I', String(iterations)],
    ...['-p', String(port), '-T', mode, '-T', 'v'],
  ];
}

export function interopTests(): void {
  void t.test('a C rsockets client talks to a Node server', PATIENT, async (t) => {
    const server = new Program('echo-server', { args: ['0', '0.0.0.0'] });
    const { port, transport } = await server.says('listening');
    t.equal(transport, 'rdma');
    let connections = 0;
    for (const [name, mode] of modes) {
      for (const size of sizes) {
        const args = ['-s', ADDRESS, ...rstreamArguments(mode, size, port as number)];
        const { code, output } = await run('rstream', args);
        t.equal(code, 0, `${name} rstream has its ${size[0]}-byte transfers verified\n${output}`);
        t.notMatch(output, /verification failed|rconnect|rsend|rrecv/);
        const connection = await server.says('connection', connections++);
        t.match(connection, { transport: 'rdma', peer: 'rsockets' });
        const { bytes } = await server.says('closed', connections - 1);
        t.equal(bytes, 16 + size[0] * size[1] * size[2], 'the server had every byte');
      }
    }
    t.same(server.all('error'), []);
    t.match(await server.end(), { code: 0, stderr: '' });
  });

  void t.test('a Node client talks to a C rsockets server', PATIENT, async (t) => {
    let port = 7600;
    for (const [name, mode] of modes) {
      for (const size of sizes) {
        port++;
        const [bytes, count, iterations] = size.map(String);
        const peer = run('rstream', ['-b', ADDRESS, ...rstreamArguments(mode, size, port)]);
        await listening(port);
        const client = new Program('rstream-client', {
          args: [ADDRESS, String(port), bytes ?? '', count ?? '', iterations ?? ''],
          env: { RDMA_NET: 'require' },
        });
        const done = await client.says('done');
        t.match(done, { wrong: 0, transport: 'rdma', peer: 'rsockets' }, `${bytes} bytes, ${name}`);
        await client.says('closed');
        t.match(await client.end(), { code: 0, stderr: '' });
        const { code, output } = await peer;
        t.equal(code, 0, `rstream has verified what it got\n${output}`);
        t.notMatch(output, /verification failed/);
      }
    }
  });

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

/** Waits until an RDMA listener has the port, as `rdma resource show cm_id` tells. */
async function listening(port: number): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const { output } = await run('rdma', ['resource', 'show', 'cm_id']);
    if (output.includes(`:${port} `)) return;
    if (Date.now() > deadline) throw new Error(`nobody listens on ${port}: ${output}`);
  }
}
