/** The budgets of queue pairs and memory: who comes too late goes to TCP, the others carry on. */
import t, { type Test } from 'tap';
import { PATIENT, Program, withLockedMemory, type ProgramOptions } from './program';

const ADDRESS = '10.77.0.1';
const MEBIBYTE = 1 << 20;
const QUEUE_PAIRS = 3;
/** More than there is room for in the memory of these tests. */
const CONNECTIONS_MAX = 300;
/** RDMA is left alone for a second after it was refused: by far not so many attempts fit in it. */
const ATTEMPTS_MAX = 5000;
const STREAM_BYTES = 8 * MEBIBYTE;

interface Pair {
  server: Program;
  client: Program;
  port: number;
}

async function start(t: Test, server: ProgramOptions, client: ProgramOptions): Promise<Pair> {
  const program = new Program('echo-server', { args: ['0', '0.0.0.0'], ...server });
  const { port, transport } = await program.says('listening');
  t.equal(transport, 'rdma');
  return { server: program, client: new Program('calls', client), port: Number(port) };
}

async function end(t: Test, { server, client }: Pair): Promise<void> {
  t.same(client.all('error'), []);
  t.match(await client.end(), { code: 0, stderr: '' });
  t.same(server.all('error'), []);
  t.match(await server.end(), { code: 0, stderr: '' });
}

/** Every connection sends bytes and gets them back. */
async function allEcho(t: Test, client: Program, count: number): Promise<void> {
  const index = client.all('echoed').length;
  client.tell('echo');
  t.match(await client.says('echoed', index), { right: count });
}

/** One side may have three connections; the other has no limit. */
async function limitQueuePairs(
  t: Test,
  limited: 'server' | 'client',
  reason: string,
): Promise<void> {
  const env = { RDMA_NET_QUEUE_PAIRS_MAX: String(QUEUE_PAIRS) };
  const pair = await start(
    t,
    limited === 'server' ? { env } : {},
    // What the server refuses must be asked of it again.
    { env: { RDMA_NET_PEER_MEMORY_MS: '0', ...(limited === 'client' ? env : {}) } },
  );
  const { client, port } = pair;
  client.tell(`open ${ADDRESS} ${port} ${QUEUE_PAIRS}`);
  const opened = await client.says('opened');
  t.match(opened.all, Array(QUEUE_PAIRS).fill({ transport: 'rdma' }));
  await allEcho(t, client, QUEUE_PAIRS);

  client.tell(`open ${ADDRESS} ${port} 2`);
  const { all } = await client.says('opened', 1);
  t.match(all, Array(2).fill({ transport: 'tcp', reason }));
  await allEcho(t, client, QUEUE_PAIRS + 2);

  client.tell('close 0');
  await client.says('closed');
  client.tell(`await-rdma ${ADDRESS} ${port} ${ATTEMPTS_MAX}`);
  const awaited = await client.says('awaited');
  t.match(awaited, { transport: 'rdma' });
  t.comment(`on RDMA again with attempt ${String(awaited.attempts)}`);
  client.tell(`open ${ADDRESS} ${port}`);
  t.match(await client.says('opened', 2), { all: [{ transport: 'tcp', reason }] });
  await allEcho(t, client, QUEUE_PAIRS + 3);
  await end(t, pair);
}

/** Opens connections until the memory is used up, and streams through those that have got some. */
async function limitMemory(t: Test, options: ProgramOptions, reason: string): Promise<void> {
  const pair = await start(t, {}, options);
  const { client, port } = pair;
  client.tell(`fill ${ADDRESS} ${port} ${CONNECTIONS_MAX}`);
  const filled = await client.says('filled');
  t.match(filled, { transport: 'tcp', reason });
  const count = Number(filled.count);
  t.comment(`${count - 1} connections were on RDMA, then: ${String(filled.detail)}`);
  t.ok(count > 1, 'there was room for some');
  await allEcho(t, client, count);

  client.tell('close 0');
  await client.says('closed');
  client.tell(`await-rdma ${ADDRESS} ${port} ${ATTEMPTS_MAX}`);
  t.match(await client.says('awaited'), { transport: 'rdma' });
  await allEcho(t, client, count);
  await end(t, pair);
}

export function limitsTests(): void {
  void t.test(
    'past the limit of queue pairs a client goes to TCP until one is closed',
    PATIENT,
    async (t) => limitQueuePairs(t, 'client', 'queue-pair-limit'),
  );

  void t.test(
    'past the limit of queue pairs a server refuses, and the client goes to TCP until one is closed',
    PATIENT,
    async (t) => limitQueuePairs(t, 'server', 'peer-rejected'),
  );

  void t.test(
    'past the limit of pinned bytes a client goes to TCP, and its connections carry on',
    PATIENT,
    async (t) =>
      limitMemory(t, { env: { RDMA_NET_PINNED_BYTES_MAX: String(MEBIBYTE) } }, 'pinned-limit'),
  );

  void t.test(
    'past RLIMIT_MEMLOCK a client goes to TCP, and its connections carry on',
    PATIENT,
    async (t) => limitMemory(t, { wrapper: withLockedMemory(2 * MEBIBYTE) }, 'memory-lock-limit'),
  );

  void t.test(
    'at the limit of pinned bytes a stream arrives complete, by copies',
    PATIENT,
    async (t) => {
      const env = { RDMA_NET_PINNED_BYTES_MAX: String(MEBIBYTE) };
      const pair = await start(t, {}, { env });
      const { client, port } = pair;
      client.tell(`open ${ADDRESS} ${port}`);
      t.match(await client.says('opened'), { all: [{ transport: 'rdma' }] });
      client.tell(`echo ${STREAM_BYTES}`);
      const echoed = await client.says('echoed');
      t.match(echoed, { right: 1 });
      t.match(echoed.counters, [
        {
          bytesReceivedCopied: STREAM_BYTES,
          bytesReceivedInPlace: 0,
          bytesSentCopied: STREAM_BYTES,
          bytesSentInPlace: 0,
        },
      ]);
      await end(t, pair);
    },
  );
}
