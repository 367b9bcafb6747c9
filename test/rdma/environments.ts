/** The end of a worker or of the process, whatever RDMA was doing. */
import t from 'tap';
import { PATIENT, Program } from './program';
import { resourcesBecome } from './resources';

const ADDRESS = '10.77.0.1';

export function environmentTests(): void {
  void t.test('workers terminated while they talk leave nothing behind', PATIENT, async (t) => {
    const program = new Program('workers', { args: [ADDRESS, '3'] });
    await program.says('done');
    for (const terminated of program.all('terminated')) {
      t.match(terminated, { transport: 'rdma', code: 1 });
    }
    const left = await resourcesBecome(
      [program.pid],
      ({ queuePairs, memoryRegions, cmIds }) => queuePairs + memoryRegions + cmIds === 0,
    );
    t.same(left, { queuePairs: 0, memoryRegions: 0, cmIds: 0 });
    t.match(await program.end(), { code: 0, stderr: '' });
  });

  void t.test('what was written before a process ended arrives', PATIENT, async (t) => {
    const server = new Program('echo-server', { args: ['0', '0.0.0.0'] });
    const { port } = await server.says('listening');
    for (const [index, how] of ['exit', 'natural'].entries()) {
      const program = new Program('last-words', { args: [how, ADDRESS, String(port)] });
      t.match(await program.end(), { code: 0, stderr: '' }, how);
      t.match(await server.says('connection', index), { transport: 'rdma' });
      t.match(await server.says('closed', index), { bytes: 200_000 }, how);
    }
    await server.end();
  });
}
