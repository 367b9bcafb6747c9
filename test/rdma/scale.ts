/** A thousand connections at once: that they work, what each costs, and what is left of them. */
import t, { type Test } from 'tap';
import { Program } from './program';
import { resourcesBecome, resourcesOf } from './resources';

const ADDRESS = '10.77.0.1';
const KIBIBYTE = 1024;
/** Of one idle connection, in one process. */
const PINNED_BYTES_MAX = 16 * KIBIBYTE;
const OTHER_BYTES_MAX = 8 * KIBIBYTE;
/** Fewer are handy when something is wrong: SCALE_CONNECTIONS=300. */
const connections = Number(process.env.SCALE_CONNECTIONS ?? 1000);
/** The memory is measured when so many of these parts of them are open. */
const steps = 5;

interface Measured {
  connections: number;
  rss: number;
  heapTotal: number;
  heapUsed: number;
  pinnedBytes: number;
  allocated: number;
  device: number;
}

/**
 * All that is allocated, in whatever thread and size, lies in the one heap of the C library, apart
 * from that of JavaScript: then its growth can be seen.
 */
const oneHeap = { MALLOC_ARENA_MAX: '1', MALLOC_MMAP_THRESHOLD_: String(1 << 30) };

async function measure(program: Program, index: number): Promise<Measured> {
  program.tell('measure');
  return (await program.says('measured', index)) as unknown as Measured;
}

async function open(t: Test, client: Program, port: number, count: number): Promise<void> {
  const index = client.all('opened').length;
  client.tell(`open ${ADDRESS} ${port} ${count}`);
  const opened = await client.says('opened', index);
  t.match(opened, { transports: { rdma: count }, errors: 0 });
  t.comment(`${count} connections opened and used in ${Number(opened.seconds).toFixed(1)} s`);
}

/**
 * What an idle connection costs one process, in bytes: pinned is registered memory; other is what
 * is allocated beside it and beside the heap of JavaScript; queues is what the driver of the device
 * maps into the process (the software device: pages of its queues in the kernel).
 */
function costs(before: Measured, after: Measured): Record<string, number> {
  const grown = (key: keyof Measured): number =>
    (after[key] - before[key]) / (after.connections - before.connections);
  return {
    resident: grown('rss'),
    pinned: grown('pinnedBytes'),
    queues: grown('device'),
    heapTotal: grown('heapTotal'),
    heapUsed: grown('heapUsed'),
    other: grown('allocated'),
  };
}

/**
 * The median of each cost from step to step: what is there once does not count, nor does it when V8
 * gives back some MiB that it held ready.
 */
function medianCosts(measured: Measured[]): Record<string, number> {
  const all = measured.slice(1).map((after, index) => costs(measured[index] as Measured, after));
  const median = (what: string): number => {
    const sorted = all.map((each) => each[what] ?? NaN).sort((one, other) => one - other);
    const middle = (sorted.length - 1) / 2;
    return ((sorted[Math.floor(middle)] ?? NaN) + (sorted[Math.ceil(middle)] ?? NaN)) / 2;
  };
  return Object.fromEntries(Object.keys(all[0] ?? {}).map((what) => [what, median(what)]));
}

function shown(each: Record<string, number>): string {
  const kibibytes = (bytes: number): string => (bytes / KIBIBYTE).toFixed(1);
  return Object.entries(each)
    .map(([what, bytes]) => `${what} ${kibibytes(bytes)} KiB`)
    .join(', ');
}

export function scaleTests(): void {
  void t.test(
    `${connections} connections between two processes are used and closed, and nothing is left`,
    { timeout: 600_000 },
    async (t) => {
      // V8 holds some MiB ready for its young generation otherwise, and gives them back at times.
      const flags = ['--expose-gc', '--max-semi-space-size=1', '--single-threaded-gc'];
      const server = new Program('crowd', { args: ['server', ADDRESS], flags, env: oneHeap });
      const port = Number((await server.says('listening')).port);
      const client = new Program('crowd', {
        args: ['client'],
        flags,
        env: { RDMA_NET: 'require', ...oneHeap },
      });
      const sides = { server, client };
      const pids = [server.pid, client.pid];

      const measured = { server: [] as Measured[], client: [] as Measured[] };
      for (let step = 0; step < steps; step++) {
        await open(t, client, port, connections / steps);
        for (const side of ['server', 'client'] as const) {
          measured[side].push(await measure(sides[side], step));
        }
      }
      for (const side of ['server', 'client'] as const) {
        t.equal(measured[side].at(-1)?.connections, connections);
        const each = medianCosts(measured[side]);
        t.comment(`an idle connection costs the ${side}: ${shown(each)}`);
        t.ok((each.pinned ?? NaN) <= PINNED_BYTES_MAX, `the ${side} pins little for it`);
        t.ok((each.other ?? NaN) <= OTHER_BYTES_MAX, `the ${side} needs little else for it`);
      }
      t.equal((await resourcesOf(pids)).queuePairs, 2 * connections);

      client.tell('close');
      t.match(await client.says('closed'), { errors: 0 });
      server.tell('close');
      t.match(await server.says('closed'), { errors: 0 });
      const left = await resourcesBecome(
        pids,
        ({ queuePairs, memoryRegions, cmIds }) => queuePairs + memoryRegions + cmIds === 0,
      );
      t.same(left, { queuePairs: 0, memoryRegions: 0, cmIds: 0 });
      for (const program of [client, server]) t.match(await program.end(), { code: 0, stderr: '' });
    },
  );
}
