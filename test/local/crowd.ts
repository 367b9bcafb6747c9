/** Many connections of two processes, at once and one after the other, and what is left of them. */
import t, { type Test } from 'tap';
import { excess, type Held, type Place } from '../rdma/place';
import { Program } from '../rdma/program';

const CONNECTIONS = 1000;
const CYCLES = 10_000;
/** Cycles after which all that is made once has been made. */
const WARM_UP_CYCLES = 1000;
const MEBIBYTE = 1 << 20;
/** A tenth of a KiB for each connection that came and went would exceed it. */
const HEAP_GROWTH_MAX = MEBIBYTE;
/** The C library and V8 hold some memory ready, now more, now less. */
const RESIDENT_GROWTH_MAX = 16 * MEBIBYTE;

interface Pair {
  server: Program;
  client: Program;
  port: number;
}

interface Memory {
  rss: number;
  heapUsed: number;
  counted: number;
  connections: number;
}

async function start(place: Place): Promise<Pair> {
  const flags = ['--expose-gc', '--max-semi-space-size=1'];
  // One heap of the C library, in which a leak cannot hide.
  const env = { MALLOC_ARENA_MAX: '1' };
  const server = new Program('crowd', { args: ['server', place.address], flags, env });
  const port = Number((await server.says('listening')).port);
  return { server, client: new Program('crowd', { args: ['client'], flags, env }), port };
}

async function end(t: Test, { server, client }: Pair): Promise<void> {
  client.tell('close');
  t.match(await client.says('closed'), { errors: 0 });
  server.tell('close');
  t.match(await server.says('closed'), { errors: 0 });
  for (const program of [client, server]) t.match(await program.end(), { code: 0, stderr: '' });
}

async function measure(program: Program): Promise<Memory> {
  const index = program.all('measured').length;
  program.tell('measure');
  return (await program.says('measured', index)) as unknown as Memory;
}

async function emptied(program: Program): Promise<void> {
  const index = program.all('emptied').length;
  program.tell('empty');
  await program.says('emptied', index);
}

/** All that is there when no connection is. */
async function measureIdle(
  t: Test,
  place: Place,
  { server, client }: Pair,
): Promise<{ held: Held; memory: Memory[] }> {
  const memory = [await measure(server), await measure(client)];
  for (const each of memory) t.match(each, { connections: 0, counted: 0 });
  return { held: await place.idle([server.pid, client.pid]), memory };
}

async function checkGrowth(
  t: Test,
  place: Place,
  pair: Pair,
  before: { held: Held; memory: Memory[] },
): Promise<void> {
  t.same(await excess(place, [pair.server.pid, pair.client.pid], before.held), {});
  const after = (await measureIdle(t, place, pair)).memory;
  for (const [index, side] of ['server', 'client'].entries()) {
    const grown = (of: (memory: Memory) => number): number =>
      of(after[index] as Memory) - of(before.memory[index] as Memory);
    const [heap, resident] = [grown(({ heapUsed }) => heapUsed), grown(({ rss }) => rss)];
    t.comment(`the ${side}'s heap grew by ${heap} bytes, its memory by ${resident}`);
    t.ok(heap <= HEAP_GROWTH_MAX, `the ${side}'s heap did not grow: ${heap}`);
    t.ok(resident <= RESIDENT_GROWTH_MAX, `the ${side}'s memory did not grow: ${resident}`);
  }
}

export function crowdTests(place: Place): void {
  const { address, transport } = place;

  void t.test(
    `${CONNECTIONS} connections of two processes echo and are closed, and nothing is left`,
    { timeout: 120_000 },
    async (t) => {
      const pair = await start(place);
      const { server, client, port } = pair;
      /** Opens all of them, and closes them from the client's side. */
      const round = async (index: number): Promise<void> => {
        client.tell(`open ${address} ${port} ${CONNECTIONS}`);
        const opened = await client.says('opened', index);
        t.match(opened, { transports: { [transport]: CONNECTIONS }, errors: 0 });
        t.equal((await measure(server)).connections, CONNECTIONS);
        client.tell('close');
        t.match(await client.says('closed', index), { errors: 0 });
        await emptied(server);
      };
      await round(0);
      const before = await measureIdle(t, place, pair);
      await round(1);
      await checkGrowth(t, place, pair, before);
      await end(t, pair);
    },
  );

  void t.test(
    `${CYCLES} connections come and go, and neither descriptors nor memory become more`,
    { timeout: 120_000 },
    async (t) => {
      const pair = await start(place);
      const { client, server, port } = pair;
      const cycle = async (count: number): Promise<void> => {
        const index = client.all('cycled').length;
        client.tell(`cycle ${address} ${port} ${count}`);
        const cycled = await client.says('cycled', index);
        t.match(cycled, { transports: { [transport]: count }, errors: 0 });
        await emptied(server);
      };
      await cycle(WARM_UP_CYCLES);
      const before = await measureIdle(t, place, pair);
      await cycle(CYCLES - WARM_UP_CYCLES);
      await checkGrowth(t, place, pair, before);
      await end(t, pair);
    },
  );
}
