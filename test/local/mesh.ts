/** Many processes of which each talks to each. */
import t from 'tap';
import type { Place } from '../rdma/place';
import { LocalProgram } from './local-program';

const PROCESSES = 24;

export function meshTests({ address, transport }: Place): void {
  void t.test(
    `${PROCESSES} processes connect each to each, exchange and close`,
    { timeout: 60_000 },
    async (t) => {
      const programs = Array.from(
        { length: PROCESSES },
        (_, index) => new LocalProgram('mesh', { args: [address, String(index)] }),
      );
      const ports: number[] = [];
      for (const program of programs) ports.push(Number((await program.says('listening')).port));
      for (const program of programs) program.tell(ports.join(' '));
      const others = PROCESSES - 1;
      for (const program of programs) {
        const done = await program.says('done');
        t.match(done, { right: others, answered: others });
        t.same(done.transports, { [transport]: 2 * others });
        t.same(program.all('error'), []);
      }
      for (const program of programs) t.match(await program.end(), { code: 0, stderr: '' });
    },
  );
}
