/** Network namespaces, as containers have them, are apart as they are for TCP. */
import t from 'tap';
import type { Place } from '../rdma/place';
import { run } from '../rdma/program';
import { LocalProgram } from './local-program';

const NAMESPACE = `rdma-net-test-${process.pid}`;

/** Why no namespace can be made, if so. */
async function makeNamespace(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'only root makes network namespaces';
  try {
    const { code, output } = await run('ip', ['netns', 'add', NAMESPACE]);
    if (code !== 0) return output;
  } catch {
    return 'there is no command ip';
  }
  const { code, output } = await run('ip', ['-n', NAMESPACE, 'link', 'set', 'lo', 'up']);
  return code === 0 ? undefined : output;
}

export function namespaceTests({ address, wildcard, transport }: Place): void {
  void t.test(
    'a server in another network namespace is not found, and one in the same is',
    { timeout: 60_000 },
    async (t) => {
      const reason = await makeNamespace();
      if (reason !== undefined) return t.pass('namespaces', { skip: reason });
      t.teardown(() => run('ip', ['netns', 'delete', NAMESPACE]));
      const inside = { wrapper: ['ip', 'netns', 'exec', NAMESPACE] };
      const [server, neighbour, stranger] = [
        new LocalProgram('caller', inside),
        new LocalProgram('caller', inside),
        new LocalProgram('caller'),
      ];
      server.tell(`listen ${JSON.stringify({ port: 0, host: wildcard })}`);
      const { port } = await server.says('listening');
      neighbour.tell(`call ${address} ${port as number}`);
      t.match(await neighbour.says('called'), { transport });
      stranger.tell(`call ${address} ${port as number}`);
      t.match(await stranger.says('called'), { code: 'ECONNREFUSED' });
      await server.says('accepted');
      t.equal(server.all('accepted').length, 1);
      for (const program of [server, neighbour, stranger]) {
        t.match(await program.end(), { code: 0, stderr: '' });
      }
    },
  );
}
