/** The end of a worker or of the process, whatever its connections were doing. */
import t from 'tap';
import { excess, type Place } from './place';
import { PATIENT, Program } from './program';

export function environmentTests(place: Place): void {
  const { address, transport, wildcard } = place;

  void t.test('workers terminated while they talk leave nothing behind', PATIENT, async (t) => {
    const program = new Program('workers', { args: [address, '4'] });
    // The first brings what stays.
    await program.says('terminated');
    const idle = await place.idle([program.pid]);
    program.tell('go on');
    await program.says('done');
    for (const terminated of program.all('terminated')) {
      t.match(terminated, { transport, code: 1 });
    }
    t.same(await excess(place, [program.pid], idle), {});
    t.match(await program.end(), { code: 0, stderr: '' });
  });

  // Over TCP what comes back to the process that is gone resets the connection.
  if (transport === 'tcp') return;

  void t.test('what was written before a process ended arrives', PATIENT, async (t) => {
    const server = new Program('echo-server', { args: ['0', wildcard] });
    const { port } = await server.says('listening');
    for (const [index, how] of ['exit', 'natural'].entries()) {
      const program = new Program('last-words', { args: [how, address, String(port)] });
      t.match(await program.end(), { code: 0, stderr: '' }, how);
      t.match(await server.says('connection', index), { transport });
      t.match(await server.says('closed', index), { bytes: 200_000 }, how);
    }
    await server.end();
  });
}
