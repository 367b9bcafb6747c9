/** Who writes more than is taken, and who reads when it wants. */
import { once } from 'node:events';
import type { Scenarios } from '../scenario';
import { closed, next, turn } from '../stage';

/** More than the buffers of any transport take. */
const MUCH = 16 * 1024 * 1024;

export const backpressure: Scenarios = {
  'write tells to wait, and drain comes when all is taken': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('client');
    lane.watch(client, 'drain', 'finish', 'close');
    accepted.pause();
    lane.note(
      'write',
      client.write(Buffer.alloc(MUCH), () => lane.note('first is written')),
    );
    lane.note('state', client.writableNeedDrain, client.writableLength === MUCH);
    lane.note(
      'write',
      client.write('small', () => lane.note('second is written')),
    );
    lane.note('bytes', client.bytesWritten === MUCH + 5, client.writableLength === MUCH + 5);
    await turn();
    lane.note('still', client.writableNeedDrain);
    accepted.resume();
    await next(client, 'drain');
    lane.note('state', client.writableNeedDrain, client.writableLength);
    client.resume().end();
    await closed(client, accepted);
    stage.lane('accepted').note('bytes', accepted.bytesRead === MUCH + 5);
  },

  'small writes are taken at once, one callback each in order': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('client');
    lane.watch(client, 'drain', 'finish');
    for (let index = 0; index < 5; index++) {
      const isTaken = client.write(`${index}`, () => lane.note('written', index));
      lane.note('write', isTaken, client.writableLength);
    }
    await once(accepted, 'data');
    client.resume().end();
    await closed(client, accepted);
  },

  'pause holds what comes, resume gives it': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('client');
    lane.watch(client, 'data', 'pause', 'resume', 'end', 'close');
    accepted.write('one');
    await next(client, 'data');
    lane.note('pause', client.pause() === client, client.isPaused());
    accepted.write('two', () => stage.lane('accepted').note('written'));
    for (let count = 0; count < 5; count++) await turn();
    lane.note('resume', client.resume() === client, client.isPaused());
    await next(client, 'data');
    accepted.end('three');
    await closed(client, accepted.resume());
  },

  'a socket paused in the middle of data loses nothing': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('client');
    const bytes = 2_000_000;
    client.on('data', (data: Buffer) => {
      lane.data(data);
      client.pause();
      setImmediate(() => client.resume());
    });
    client.on('end', () => lane.note('end', client.bytesRead));
    accepted.resume().end(Buffer.alloc(bytes, 'in pieces '));
    await closed(client, accepted);
  },

  'reading by read() and readable': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('client');
    const chunks: Buffer[] = [];
    client.on('end', () => lane.note('end', Buffer.concat(chunks)));
    client.on('readable', () => {
      for (let chunk: unknown; (chunk = client.read()) !== null;) chunks.push(chunk as Buffer);
    });
    accepted.write('first ');
    await next(client, 'readable');
    accepted.resume().end('second');
    await closed(client, accepted);
    lane.note('state', client.readableLength, client.readableEnded, client.read());
  },

  'read(n) gives as many, unshift puts back': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('client');
    accepted.write('0123456789');
    await next(client, 'readable');
    const head = client.read(4) as Buffer;
    lane.note('read', head, client.readableLength);
    client.unshift(head);
    lane.note('again', client.read(6), client.readableLength, client.bytesRead);
    lane.note('too much', client.read(100));
    accepted.end();
    client.resume();
    await closed(client, accepted);
  },

  'a client that stops reading does not stop writing': async (stage) => {
    const { client, accepted } = await stage.pair();
    client.pause();
    accepted.write(Buffer.alloc(MUCH), () => stage.lane('accepted').note('written'));
    client.write('are you there?');
    const [data] = (await once(accepted, 'data')) as [Buffer];
    stage.lane('accepted').data(data);
    client.resume();
    await next(accepted, 'drain');
    client.end();
    await closed(client, accepted);
  },
};
