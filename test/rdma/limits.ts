/** The budgets of connections and memory: who comes too late goes to TCP, the others carry on. */
import t, { type Test } from 'tap';
import type { Place } from './place';
import { PATIENT, Program, withLockedMemory, type ProgramOptions } from './program';

const MEBIBYTE = 1 << 20;
const QUEUE_PAIRS = 3;
/** More than there is room for in the memory of these tests. */
const CONNECTIONS_MAX = 300;
/** What failed is left alone for a second: by far not so many attempts fit in it. */
const ATTEMPTS_MAX = 5000;
const STREAM_BYTES = 8 * MEBIBYTE;

interface Pair {
  server: Program;
  client: Program;
  port: number;
}

/** What one of the two sides has less of than the other. */
interface Limit {
  side: 'server' | 'client';
  options: ProgramOptions;
}

async function start(t: Test, { transport, wildcard }: Place, limit: Limit): Promise<Pair> {
  const optionsOf = (side: Limit['side']): ProgramOptions => {
    const { env, ...others } = side === limit.side ? limit.options : {};
    // What the server refuses must be asked of it again.
    return { ...others, env: { RDMA_NET: 'prefer', RDMA_NET_PEER_MEMORY_MS: '0', ...env } };
  };
  const server = new Program('echo-server', { args: ['0', wildcard], ...optionsOf('server') });
  const { port, ...listening } = await server.says('listening');
  t.match(listening, { transport });
  return { server, client: new Program('calls', optionsOf('client')), port: Number(port) };
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
  place: Place,
  side: Limit['side'],
  reason: string,
): Promise<void> {
  const { address, transport } = place;
  const env = { RDMA_NET_QUEUE_PAIRS_MAX: String(QUEUE_PAIRS) };
  const pair = await start(t, place, { side, options: { env } });
  const { client, port } = pair;
  client.tell(`open ${address} ${port} ${QUEUE_PAIRS}`);
  const opened = await client.says('opened');
  t.match(opened.all, Array(QUEUE_PAIRS).fill({ transport }));
  await allEcho(t, client, QUEUE_PAIRS);

  client.tell(`open ${address} ${port} 2`);
  const { all } = await client.says('opened', 1);
  t.match(all, Array(2).fill({ transport: 'tcp', reason }));
  await allEcho(t, client, QUEUE_PAIRS + 2);

  client.tell('close 0');
  await client.says('closed');
  client.tell(`await ${address} ${port} ${ATTEMPTS_MAX}`);
  const awaited = await client.says('awaited');
  t.match(awaited, { transport });
  t.comment(`off TCP again with attempt ${String(awaited.attempts)}`);
  client.tell(`open ${address} ${port}`);
  t.match(await client.says('opened', 2), { all: [{ transport: 'tcp', reason }] });
  await allEcho(t, client, QUEUE_PAIRS + 3);
  await end(t, pair);
}

/** Opens connections until the memory is used up, and streams through those that have got some. */
async function limitMemory(t: Test, place: Place, limit: Limit, reason: string): Promise<void> {
  const { address, transport } = place;
  const pair = await start(t, place, limit);
  const { client, port } = pair;
  client.tell(`fill ${address} ${port} ${CONNECTIONS_MAX}`);
  const filled = await client.says('filled');
  t.match(filled, { transport: 'tcp', reason });
  const count = Number(filled.count);
  t.comment(`${count - 1} connections were there, then: ${String(filled.detail)}`);
  t.ok(count > 1, 'there was room for some');
  await allEcho(t, client, count);

  client.tell('close 0');
  await client.says('closed');
  client.tell(`await ${address} ${port} ${ATTEMPTS_MAX}`);
  t.match(await client.says('awaited'), { transport });
  await allEcho(t, client, count);
  await end(t, pair);
}

const PINNED: ProgramOptions = { env: { RDMA_NET_PINNED_BYTES_MAX: String(MEBIBYTE) } };

export function limitsTests(place: Place): void {
  const { address, transport } = place;

  void t.test(
    'past the limit of connections a client goes to TCP until one is closed',
    PATIENT,
    (t) => limitQueuePairs(t, place, 'client', 'queue-pair-limit'),
  );

  void t.test(
    'past the limit of connections a server refuses, and the client goes to TCP until one is closed',
    PATIENT,
    (t) =>
      limitQueuePairs(t, place, 'server', transport === 'rdma' ? 'peer-rejected' : 'local-limit'),
  );

  void t.test(
    'past the limit of memory a client goes to TCP, and its connections carry on',
    PATIENT,
    (t) => limitMemory(t, place, { side: 'client', options: PINNED }, 'pinned-limit'),
  );

  void t.test('at the limit of memory a stream arrives complete, by copies', PATIENT, async (t) => {
    const pair = await start(t, place, { side: 'client', options: PINNED });
    const { client, port } = pair;
    client.tell(`open ${address} ${port}`);
    t.match(await client.says('opened'), { all: [{ transport }] });
    client.tell(`echo ${STREAM_BYTES}`);
    const echoed = await client.says('echoed');
    t.match(echoed, { right: 1 });
    t.match(echoed.counters, [{ bytesReceivedCopied: STREAM_BYTES, bytesReceivedInPlace: 0 }]);
    // Shared memory takes the bytes at once from where they are, and pins nothing for that.
    const sent = { bytesSentCopied: STREAM_BYTES, bytesSentInPlace: 0 };
    if (transport === 'rdma') t.match(echoed.counters, [sent]);
    await end(t, pair);
  });

  if (transport === 'rdma') limitsOfRdma(place);
  else limitsOfServers(place);
}

function limitsOfRdma(place: Place): void {
  void t.test(
    'past RLIMIT_MEMLOCK a client goes to TCP, and its connections carry on',
    PATIENT,
    (t) => {
      const options = { wrapper: withLockedMemory(2 * MEBIBYTE) };
      return limitMemory(t, place, { side: 'client', options }, 'memory-lock-limit');
    },
  );
}

function limitsOfServers(place: Place): void {
  void t.test(
    'past the limit of memory a server refuses, the client goes to TCP, and the others carry on',
    PATIENT,
    (t) => limitMemory(t, place, { side: 'server', options: PINNED }, 'local-limit'),
  );
}
