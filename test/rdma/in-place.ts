/** Memory that is sent from and received into in place, whatever programs do with it. */
import t from 'tap';
import type { Place } from './place';
import { Program, type Saying } from './program';

const messages = Number(process.env.IN_PLACE_MESSAGES ?? 1200);
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);

export function inPlaceTests({ address, transport }: Place): void {
  void t.test(
    'memory that is dropped, transferred, changed, kept and collected harms no byte',
    { timeout: 400_000 },
    async (t) => {
      t.comment(`SEED=${seed}`);
      const flags = ['--expose-gc'];
      const sender = new Program('in-place-sender', {
        args: [address, String(messages), String(seed)],
        flags,
      });
      const { port } = await sender.says('listening');
      const receiver = new Program('in-place-receiver', {
        args: [address, String(port), String(seed + 1)],
        flags,
      });
      const received = await receiver.says('closed');
      const sent = await sender.says('closed');
      t.comment('sent', sent, 'received', received);
      t.match(received, { transport, wrong: 0, changed: 0 });
      t.equal(Number(received.checked) + Number(received.unchecked), messages);
      t.ok(Number(received.kept) >= messages / 10, 'many Buffers were kept for a while');
      for (const treatment of ['transferred', 'transferredAndGarbled']) {
        const count = (sent.counts as Record<string, number>)[treatment];
        t.ok(Number(count) >= messages / 20, `${treatment} often enough: ${count}`);
      }
      const inPlace = (saying: Saying, counter: string): number =>
        (saying.counters as Record<string, number> | undefined)?.[counter] ?? 0;
      // What is on TCP counts nothing.
      if (transport !== 'tcp')
        t.ok(inPlace(sent, 'bytesSentInPlace') > 0, 'something was sent in place');
      // What a peer could still change is copied out of shared memory.
      if (transport === 'rdma') {
        t.ok(inPlace(received, 'bytesReceivedInPlace') > 0, 'something was received in place');
      }
      receiver.tell('give-back');
      t.match(await receiver.says('given-back'), { slabBytesUsed: 0 });
      for (const program of [sender, receiver]) {
        t.same(program.all('error'), []);
        t.match(await program.end(), { code: 0, stderr: '' });
      }
    },
  );
}
