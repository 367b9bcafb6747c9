/** Node's http. */
import t from 'tap';
import type { Place } from './place';
import { PATIENT, Program } from './program';

export function httpTests({ address, transport }: Place): void {
  void t.test('an http server and an Agent with keep-alive talk', PATIENT, async (t) => {
    const program = new Program('http', { args: [address] });
    const done = await program.says('done');
    t.equal(program.all('response').length, 25);
    for (const response of program.all('response')) {
      t.match(response, { same: true, server: transport });
    }
    t.equal(done.sockets, 4, 'connections were kept alive and used again');
    t.same(done.clients, Array<string>(4).fill(transport));
    await program.says('server-closed');
    t.match(await program.end(), { code: 0, stderr: '' });
  });
}
