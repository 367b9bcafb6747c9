/** Child processes: they inherit the preload, and get what can be sent. */
import t from 'tap';
import type { Place } from '../rdma/place';
import { LocalProgram } from './local-program';

const TIMEOUT = { timeout: 60_000 };

export function passingTests({ address, transport }: Place): void {
  const env = { RDMA_NET: transport === 'tcp' ? 'off' : 'prefer' };
  const start = (what: string): LocalProgram => {
    return new LocalProgram('passing', { args: [what, address], env });
  };

  void t.test('a child process inherits the preload', TIMEOUT, async (t) => {
    const program = start('inherit');
    t.match(await program.says('called'), { transport, text: 'child' });
    t.match(await program.end(), { code: 0, stderr: '' });
  });

  void t.test('a server is sent to a child, and is reached there over TCP', TIMEOUT, async (t) => {
    const program = start('pass-server');
    t.match(await program.says('called'), { transport, text: 'parent' });
    t.match(await program.says('passed'), { transports: ['tcp'] });
    t.match(await program.says('called', 1), { transport: 'tcp', text: 'child' });
    t.match(await program.end(), { code: 0, stderr: '' });
    if (transport !== 'tcp') t.match(program.all('passed'), [{ reason: 'handle-passing' }]);
  });

  void t.test(
    'a socket that cannot be sent is refused as Node does it, and the next can',
    TIMEOUT,
    async (t) => {
      const program = start('pass-socket');
      t.match(await program.says('exited'), { code: 0 });
      const [first, second] = program.all('called');
      const isTcp = transport === 'tcp';
      t.match(first, { transport, text: isTcp ? 'child' : 'parent' });
      t.match(second, { transport: 'tcp', text: 'child' });
      const refused = program.all('refused').map(({ code }) => code);
      t.same(refused, isTcp ? [] : ['ERR_INVALID_HANDLE_TYPE']);
      t.match(await program.end(), { code: 0, stderr: '' });
    },
  );
}
