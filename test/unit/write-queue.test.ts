import t from 'tap';
import { UV_EPIPE } from '../../lib/errors';
import { KEPT, NOT_IN_PLACE, type Transport } from '../../lib/native';
import { WAITS, WriteQueue } from '../../lib/write-queue';

const KIB = 1024;
const CANCELED = -125;

/**
 * A queue whose transport takes large writes in place and small ones by copy, as long as it may, and
 * keeps those of 200 KiB.
 */
function queue(): { writes: WriteQueue; room: (isThere: boolean) => void } {
  let hasRoom = true;
  const take = (length: number): number => (hasRoom ? length : 0);
  const transport = {
    write: (_id, _source, _offset, length) => take(length),
    writeInPlace: (_id, { buffer }, _offset, length) => {
      if (buffer.byteLength === 200 * KIB) return KEPT;
      return buffer.byteLength === 100 * KIB ? take(length) : NOT_IN_PLACE;
    },
    flush: () => undefined,
    free: (buffer) => void structuredClone(buffer, { transfer: [buffer as ArrayBuffer] }),
    register: () => 0,
  } as Partial<Transport> as Transport;
  return { writes: new WriteQueue(transport, 1), room: (isThere) => (hasRoom = isThere) };
}

function ended(writes: WriteQueue): unknown[] {
  const all: unknown[] = [];
  for (let end = writes.takeEnded(); end !== undefined; end = writes.takeEnded()) {
    all.push([(end.request as { name: string }).name, end.status]);
  }
  return all;
}

const large = new Uint8Array(100 * KIB);
const small = new Uint8Array(10);

t.test('a copied write does not end before one in place that was made earlier', (t) => {
  const { writes } = queue();
  t.equal(writes.tryWrite([small]), 0);
  t.equal(writes.tryWrite([large]), WAITS);
  writes.push({ name: 'large' }, [large], false);
  t.equal(writes.tryWrite([small]), WAITS);
  writes.push({ name: 'small' }, [small], false);
  t.strictSame(ended(writes), []);
  t.equal(writes.bytesWritten, 100 * KIB + 20);
  writes.noteSent(1);
  t.strictSame(ended(writes), [
    ['large', 0],
    ['small', 0],
  ]);
  t.end();
});

t.test('one Sent may complete several writes, and one write may need several', (t) => {
  const { writes } = queue();
  t.equal(writes.tryWrite([large, small, large]), WAITS);
  writes.push({ name: 'both' }, [large, small, large], false);
  writes.tryWrite([large]);
  writes.push({ name: 'third' }, [large], false);
  t.equal(writes.unsentBytes, 300 * KIB);
  writes.noteSent(1);
  t.strictSame(ended(writes), []);
  writes.noteSent(2);
  t.strictSame(ended(writes), [
    ['both', 0],
    ['third', 0],
  ]);
  t.equal(writes.unsentBytes, 0);
  t.end();
});

t.test('a write that was kept to be copied ends with Sent, whole', (t) => {
  const { writes } = queue();
  const kept = new Uint8Array(200 * KIB);
  t.equal(writes.tryWrite([kept]), WAITS);
  writes.push({ name: 'kept' }, [kept], false);
  t.strictSame(ended(writes), []);
  t.equal(writes.unsentBytes, 200 * KIB);
  writes.noteSent(1);
  t.strictSame(ended(writes), [['kept', 0]]);
  t.equal(writes.unsentBytes, 0);
  t.end();
});

t.test(
  'writes that lost bytes because the peer has closed are EPIPE, and those before not',
  (t) => {
    const { writes } = queue();
    for (const name of ['sent', 'lost', 'lost too']) {
      t.equal(writes.tryWrite([large]), WAITS);
      writes.push({ name }, [large], false);
    }
    writes.noteSent(3, 2);
    t.strictSame(ended(writes), [
      ['sent', 0],
      ['lost', UV_EPIPE],
      ['lost too', UV_EPIPE],
    ]);
    t.end();
  },
);

t.test('copies of C++ are freed when they have been taken, and nothing else is', (t) => {
  const { writes, room } = queue();
  const [copy, waiting, ofProgram] = [1, 2, 3].map(() => new Uint8Array(16 * KIB));
  const part = new Uint8Array(new ArrayBuffer(32 * KIB), 0, 16 * KIB);
  if (copy === undefined || waiting === undefined || ofProgram === undefined) throw new Error();
  writes.push({ name: 'copy' }, [copy, part], true);
  t.equal(copy.byteLength, 0);
  t.equal(part.byteLength, 16 * KIB, 'somebody may have the rest of the ArrayBuffer');
  room(false);
  t.equal(writes.tryWrite([ofProgram]), WAITS);
  writes.push({ name: 'program' }, [ofProgram], false);
  writes.push({ name: 'waiting' }, [waiting], true);
  t.equal(waiting.byteLength, 16 * KIB);
  room(true);
  writes.noteRoom();
  t.equal(waiting.byteLength, 0);
  t.equal(ofProgram.byteLength, 16 * KIB);
  t.strictSame(ended(writes), [
    ['copy', 0],
    // C++ was told before it was sent.
    ['waiting', 0],
    ['program', 0],
  ]);
  t.end();
});

t.test('what is canceled ends at once, unless its memory may still be read', (t) => {
  const { writes, room } = queue();
  writes.tryWrite([large]);
  writes.push({ name: 'taken' }, [large], false);
  writes.tryWrite([small]);
  room(false);
  writes.push({ name: 'waits' }, [small], false);
  writes.cancel(CANCELED);
  t.equal(writes.pendingBytes, 0);
  t.strictSame(ended(writes), [], 'in order');
  writes.end();
  t.strictSame(ended(writes), [
    ['taken', CANCELED],
    ['waits', CANCELED],
  ]);
  const other = queue();
  other.room(false);
  t.equal(other.writes.tryWrite([small]), WAITS);
  other.writes.push({ name: 'waits' }, [small], false);
  other.writes.cancel(CANCELED);
  t.strictSame(ended(other.writes), [['waits', CANCELED]]);
  t.end();
});

t.test('copies that C++ made are never sent in place, and may end before they are sent', (t) => {
  const { writes, room } = queue();
  writes.push({ name: 'copied' }, [large.slice()], true);
  t.strictSame(ended(writes), [['copied', 0]]);
  t.equal(writes.unsentBytes, 0);
  room(false);
  writes.push({ name: 'waits' }, [large.slice()], true);
  t.strictSame(ended(writes), [['waits', 0]]);
  t.equal(writes.pendingBytes, 100 * KIB);
  writes.cancel(CANCELED);
  t.equal(writes.pendingBytes, 100 * KIB, 'C++ was told that it is written');
  t.end();
});
