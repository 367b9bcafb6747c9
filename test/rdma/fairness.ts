/** What small connections get while a bulk stream has the same server busy. */
import t from 'tap';
import type { Place } from './place';
import { PATIENT, Program } from './program';

/** As much as takes long enough in the lab; what is a hundred times as fast needs more. */
const LAB_STREAM_BYTES = 32 << 20;
const STREAM_BYTES = 1 << 30;
const SMALL_CONNECTIONS = 20;
/** A server that takes all that the stream has for it first answers hardly anybody. */
const ROUNDS_MIN = 32;
/** The slowest connection gets no less than this part of what the fastest gets. */
const PART_MIN = 1 / 2;

export function fairnessTests({ address, transport }: Place): void {
  const streamBytes = transport === 'rdma' ? LAB_STREAM_BYTES : STREAM_BYTES;
  void t.test(
    'while a bulk stream goes to a server its small connections are all answered, one as often as another',
    PATIENT,
    async (t) => {
      const server = new Program('fairness', { args: ['server', address, String(streamBytes)] });
      const { port } = await server.says('listening');
      const common = [address, String(port)];
      const bulk = new Program('fairness', { args: ['bulk', ...common] });
      await bulk.says('ready');
      const small = new Program('fairness', {
        args: ['small', ...common, String(SMALL_CONNECTIONS)],
      });
      await small.says('begun');
      bulk.tell('go');
      const rounds = (await server.says('streamed')).rounds as number[];
      t.match(server.all('connection'), Array(SMALL_CONNECTIONS + 1).fill({ transport }));
      t.equal(rounds.length, SMALL_CONNECTIONS);
      const [slowest, fastest] = [Math.min(...rounds), Math.max(...rounds)];
      t.comment(`each small connection was answered ${slowest} to ${fastest} times`);
      t.ok(slowest >= ROUNDS_MIN, 'all are answered');
      t.ok(slowest >= fastest * PART_MIN, 'none is answered much more seldom than another');
      for (const program of [bulk, small, server]) {
        t.match(await program.end(), { code: 0, stderr: '' });
        t.same(program.all('error'), []);
      }
    },
  );
}
