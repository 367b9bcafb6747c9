/** The commands of `rdma-net` that connect. */
import path from 'node:path';
import t from 'tap';
import type { Explanation } from '../../lib/explain/show';
import type { Place } from './place';
import { PATIENT, Program, root, run } from './program';

const cli = path.join(root, 'dist', 'lib', 'cli.js');

interface Ran<T> {
  code: number | null;
  result: T;
}

/** Runs a command with `--json`; what it says before that is its progress. */
async function runCommand<T>(...args: string[]): Promise<Ran<T>> {
  // An emulated processor is 25 times slower than the default head start is made for.
  const command = ['RDMA_NET_HEAD_START_MS=20000', process.execPath, cli, ...args, '--json'];
  const { code, output } = await run('env', command);
  return { code, result: JSON.parse(output.slice(output.search(/^\{$/m))) as T };
}

function stepsOf({ trial }: Explanation): string[] {
  return (trial?.steps ?? []).map(({ transport, step }) => `${transport} ${step}`);
}

export function commandTests({ address }: Place): void {
  void t.test('explain names the device, the GID and the steps to a peer', PATIENT, async (t) => {
    const server = new Program('echo-server', { args: ['0', '0.0.0.0'] });
    const { port } = await server.says('listening');
    const place = `${address}:${port as number}`;
    const { code, result } = await runCommand<Explanation>('explain', place);
    t.equal(code, 0);
    const gid = `::ffff:${address}`;
    const entry = { device: 'rxe0', devicePort: 1, gid, gidType: 'RoCE v2' };
    t.match(result.addresses, [{ route: { source: address, entry }, wanted: 'rdma' }]);
    t.same(
      stepsOf(result),
      ['open', 'address', 'route', 'device', 'answer'].map((step) => `rdma ${step}`),
    );
    t.match(result.trial?.outcome, {
      transport: 'rdma',
      device: 'rxe0',
      devicePort: 1,
      localGid: gid,
      peer: 'rdma-net',
    });
    await server.end();
  });

  void t.test('explain tells that a peer has no RDMA, and how far it came', PATIENT, async (t) => {
    const server = new Program('echo-server', { args: ['0', '0.0.0.0'], env: { RDMA_NET: 'off' } });
    const { port } = await server.says('listening');
    const place = `${address}:${port as number}`;
    const { code, result } = await runCommand<Explanation>('explain', place);
    t.equal(code, 1);
    t.same(stepsOf(result), [
      ...['rdma open', 'rdma address', 'rdma route', 'rdma device', 'rdma fail'],
      'tcp connect',
    ]);
    t.match(result, {
      tcp: { failure: null },
      trial: { outcome: { transport: 'tcp', reason: { code: 'peer-refused' } } },
    });
    await server.end();
  });

  void t.test('bench measures TCP and RDMA at the address of the device', PATIENT, async (t) => {
    const { code, result } = await runCommand<{ measurements: Record<string, unknown>[] }>(
      ...['bench', '--seconds', '1', '--rounds', '1', '--transports', 'tcp,rdma'],
    );
    t.equal(code, 0);
    t.match(result, { host: address, unavailable: [] });
    const overRdma = result.measurements.filter(({ transport }) => transport === 'rdma');
    t.equal(overRdma.length, 3);
    t.ok(overRdma.every(({ median }) => Number(median) > 0));
  });
}
