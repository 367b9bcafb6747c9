/** Node's http over RDMA. */
import t from 'tap';
import { PATIENT, Program } from './program';

export function httpTests(): void {
  void t.test('an http server and an Agent with keep-alive talk over RDMA', PATIENT, async (t) => {
    const program = new Program('http', { args: ['10.77.0.1'] });
    const done = await program.says('done');
    t.equal(program.all('response').length, 25);
    for (const response of program.all('response')) {
      t.match(response, { same: true, server: 'rdma' });
    }
    t.equal(done.sockets, 4, 'connections were kept alive and used again');
    t.same(done.clients, Array<string>(4).fill('rdma'));
    await program.says('server-closed');
    t.match(await program.end(), { code: 0, stderr: '' });
  });
}
