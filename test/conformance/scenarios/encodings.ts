/** Texts and bytes of every kind, alone, corked and in one write of many. */
import type { Scenarios } from '../scenario';
import { closed, next, turn } from '../stage';

const TEXT = 'grüße, 世界, 🎉, and a \u0000';
const ENCODINGS: BufferEncoding[] = [
  ...(['utf8', 'utf-8', 'latin1', 'binary', 'ascii', 'ucs2', 'utf16le'] as const),
];

export const encodings: Scenarios = {
  'each encoding of a text': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('accepted');
    accepted.on('data', (data) => lane.data(data));
    for (const encoding of ENCODINGS) {
      client.write(`${TEXT}|`, encoding);
      stage.lane('client').note(encoding, client.bytesWritten);
    }
    client.write('68656c6c6f', 'hex');
    client.write('aGVsbG8', 'base64');
    client.write('-_-_', 'base64url');
    client.write('');
    client.write('', 'hex');
    stage.lane('client').note('all', client.bytesWritten);
    client.resume().end(TEXT, 'utf8');
    await closed(client, accepted);
    lane.note('bytes', accepted.bytesRead);
  },

  'a default encoding for what is written': async (stage) => {
    const { client, accepted } = await stage.pair();
    stage.lane('accepted').watch(accepted, 'data', 'end');
    stage.lane('client').try('set', () => client.setDefaultEncoding('hex') === client);
    stage.lane('client').try('unknown', () => client.setDefaultEncoding('none' as never));
    client.write('414243');
    client.resume().end('444546');
    await closed(client, accepted);
  },

  'setEncoding joins characters that were cut': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('accepted');
    lane.note('set', accepted.setEncoding('utf8') === accepted, accepted.readableEncoding);
    const texts: unknown[] = [];
    accepted.on('data', (text: unknown) => texts.push(text));
    const bytes = Buffer.from('über');
    client.write(bytes.subarray(0, 1));
    // Until it has come alone: a text of which only half is there is none yet.
    while (accepted.bytesRead === 0) await turn();
    lane.note('half a character', texts);
    client.resume().end(bytes.subarray(1));
    await closed(client, accepted);
    lane.note('all', texts.join(''), accepted.bytesRead);
  },

  'bytes of every kind of array': async (stage) => {
    const { client, accepted } = await stage.pair();
    stage.lane('accepted').watch(accepted, 'data', 'end');
    const memory = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]);
    client.write(memory);
    client.write(memory.subarray(2, 4));
    client.write(Buffer.from(memory.buffer, 4, 2));
    stage.lane('client').try('DataView', () => client.write(new DataView(memory.buffer) as never));
    stage.lane('client').try('Uint16Array', () => client.write(new Uint16Array(2) as never));
    stage.lane('client').try('ArrayBuffer', () => client.write(memory.buffer as never));
    client.resume().end();
    await closed(client, accepted);
    stage.lane('client').note('bytes', client.bytesWritten);
  },

  'a write does not change when its memory does afterwards': async (stage) => {
    const { client, accepted } = await stage.pair();
    stage.lane('accepted').watch(accepted, 'data', 'end');
    const memory = Buffer.from('as it was');
    await new Promise((resolve) => client.write(memory, resolve));
    memory.fill('!');
    client.resume().end();
    await closed(client, accepted);
  },

  'corked writes leave together, in order, each with its callback': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('client');
    stage.lane('accepted').watch(accepted, 'data', 'end');
    lane.watch(client, 'drain', 'finish', 'close');
    client.cork();
    client.cork();
    const parts: [string | Buffer, BufferEncoding?][] = [
      ['text '],
      [Buffer.from('buffer ')],
      ['6865782020', 'hex'],
      ['ü', 'latin1'],
      ['ucs', 'utf16le'],
      [''],
    ];
    for (const [index, [part, encoding]] of parts.entries()) {
      lane.note(
        'write',
        client.write(part, encoding, () => lane.note('written', index)),
      );
    }
    client.uncork();
    lane.note('still corked', client.writableCorked, client.writableLength, client.bytesWritten);
    client.uncork();
    lane.note('uncorked', client.writableCorked, client.writableLength, client.bytesWritten);
    await turn();
    client.cork();
    client.write('the last ');
    client.resume().end('words', () => lane.note('ended'));
    await closed(client, accepted);
    lane.note('bytes', client.bytesWritten);
  },

  'only buffers corked, and much of it': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('client');
    stage.lane('accepted').watch(accepted, 'data', 'end');
    client.cork();
    for (let index = 0; index < 300; index++) client.write(Buffer.alloc(2000, index));
    lane.note('corked', client.writableLength, client.writableNeedDrain);
    client.uncork();
    await next(client, 'drain');
    lane.note('drained', client.writableLength, client.writableNeedDrain, client.bytesWritten);
    client.resume().end();
    await closed(client, accepted);
  },
};
