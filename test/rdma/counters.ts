/** What the counters prove: bytes that are not copied, writes that share work requests. */
import t, { type Test } from 'tap';
import type { Place } from './place';
import { PATIENT, Program } from './program';

const MEBIBYTE = 1 << 20;
/**
 * An emulated processor moves some 20 MiB a second: 1 GiB takes a minute and more there. By hand,
 * BULK_MEBIBYTES=1024 sends all of it.
 */
const bulkBytes = Number(process.env.BULK_MEBIBYTES ?? 256) * MEBIBYTE;
/**
 * The sender copies until its memory is registered, and nothing after that: what it may copy of 1 GiB
 * holds for a part of it, too.
 */
const sentCopiedMax = (1024 * MEBIBYTE) / 100;
const onreadBytes = 64 * MEBIBYTE;

type Counters = Record<string, number>;

/** Sends so much from one program to another, and has each byte looked at. */
async function transfer(
  t: Test,
  { address, transport }: Place,
  role: 'data' | 'onread',
  bytes: number,
): Promise<{ sender: Counters; receiver: Counters; received: Record<string, unknown> }> {
  const server = new Program('bulk', { args: ['send', address, String(bytes)] });
  const { port } = await server.says('listening');
  const client = new Program('bulk', { args: [role, address, String(bytes), String(port)] });
  const received = await client.says('closed');
  const sent = await server.says('closed');
  t.match(received, { transport, received: bytes, stampsWrong: 0 });
  const speed = bytes / MEBIBYTE / Number(received.seconds);
  t.comment(`${bytes / MEBIBYTE} MiB at ${speed.toFixed(1)} MiB/s`);
  for (const program of [client, server]) t.match(await program.end(), { code: 0, stderr: '' });
  const sender = sent.counters as Counters;
  const receiver = received.counters as Counters;
  t.comment('sender', sender, 'receiver', receiver);
  t.equal(sender.bytesSent, bytes);
  t.equal(receiver.bytesReceived, bytes);
  return { sender, receiver, received };
}

export function countersTests(place: Place): void {
  const { address, transport, wildcard } = place;

  void t.test(
    'with onread each byte is copied once, into the buffer of the program',
    PATIENT,
    async (t) => {
      const { receiver, received } = await transfer(t, place, 'onread', onreadBytes);
      t.equal(receiver.bytesReceivedCopied, onreadBytes);
      t.equal(received.buffersForeign, 0);
      const grown = Number(received.arrayBuffersGrownMax);
      t.ok(grown < MEBIBYTE, `no other Buffers were made: ${grown} bytes`);
    },
  );

  void t.test(
    transport === 'rdma'
      ? 'large writes are sent and received in place: less than 1% of the bytes are copied'
      : 'large writes are sent in place: less than 1% of the bytes are copied on that side',
    { timeout: 600_000 },
    async (t) => {
      const { sender, receiver } = await transfer(t, place, 'data', bulkBytes);
      t.equal((sender.bytesSentCopied ?? NaN) + (sender.bytesSentInPlace ?? NaN), bulkBytes);
      t.equal(
        (receiver.bytesReceivedCopied ?? NaN) + (receiver.bytesReceivedInPlace ?? NaN),
        bulkBytes,
      );
      t.ok((sender.bytesSentCopied ?? NaN) < sentCopiedMax, 'sent in place');
      // What a peer could still change is copied out of shared memory.
      if (transport === 'rdma')
        t.ok((receiver.bytesReceivedCopied ?? NaN) < bulkBytes / 100, 'received in place');
    },
  );

  void t.test('small writes of one tick share work requests', PATIENT, async (t) => {
    const server = new Program('echo-server', { args: ['0', wildcard] });
    const { port } = await server.says('listening');
    const client = new Program('small-writes', { args: [address, String(port), '50', '100'] });
    const written = await client.says('written');
    t.match(written, { transport, writes: 5000 });
    t.match(await client.says('echoed'), { same: true });
    const each = Number(written.writes) / Number(written.workRequests);
    t.ok(each >= 10, `${each.toFixed(1)} writes of 100 bytes a work request`);
    for (const program of [client, server]) t.match(await program.end(), { code: 0, stderr: '' });
  });
}
