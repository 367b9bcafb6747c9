/** Sockets as async iterables, as web streams, and as parts of pipelines. */
import {
  PassThrough,
  Readable,
  Transform,
  Writable,
  Duplex,
  finished,
  pipeline,
} from 'node:stream';
import { pipeline as pipelinePromise } from 'node:stream/promises';
import type { Socket } from 'node:net';
import type { Scenarios } from '../scenario';
import { closed, turn } from '../stage';

async function collect(chunks: AsyncIterable<unknown>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(Buffer.from(chunk as Uint8Array));
  return Buffer.concat(all);
}

interface Streams {
  readable: ReadableStream<Uint8Array> & AsyncIterable<unknown>;
  writable: WritableStream<Uint8Array>;
}

// The types of Node do not agree with themselves here.
function webOf(socket: Socket): Streams {
  return Duplex.toWeb(socket);
}

export const iteration: Scenarios = {
  'for await takes everything, and closes': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('client');
    lane.watch(client, 'end', 'error', 'close');
    accepted.resume().end(Buffer.alloc(200_000, 'everything '));
    lane.note('iterated', await collect(client), client.destroyed, client.readableEnded);
    await closed(client, accepted);
  },

  'leaving for await destroys the socket': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('client');
    lane.watch(client, 'end', 'error', 'close');
    accepted.write('one chunk');
    for await (const chunk of client) {
      lane.data(chunk as Buffer);
      break;
    }
    lane.note('left', client.destroyed, client.errored);
    await closed(client, accepted.resume());
  },

  'leaving an iterator that keeps the socket': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('client');
    accepted.write('one');
    for await (const chunk of client.iterator({ destroyOnReturn: false })) {
      lane.data(chunk as Buffer);
      break;
    }
    lane.note('left', client.destroyed);
    accepted.resume().end('two');
    lane.note('rest', await collect(client));
    await closed(client, accepted);
  },

  'a reset ends for await with the error': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('client');
    const iterated = collect(client).catch((error: unknown) => lane.note('thrown', error));
    accepted.resetAndDestroy();
    await iterated;
    await closed(client, accepted);
  },

  'throwing inside for await destroys the socket': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('client');
    lane.watch(client, 'error', 'close');
    accepted.write('one chunk');
    try {
      for await (const chunk of client) throw new Error(`at ${(chunk as Buffer).toString()}`);
    } catch (error) {
      lane.note('caught', error);
    }
    await closed(client, accepted.resume());
    lane.note('errored', client.errored);
  },

  'helpers of readable streams': async (stage) => {
    const { client, accepted } = await stage.pair();
    accepted.resume().end('a,b,c');
    const letters = await client.map((chunk: Buffer) => chunk.toString()).toArray();
    stage.lane('client').note('letters', letters.join('').split(','));
    await closed(client, accepted);
  },

  'Readable.toWeb and Writable.toWeb': async (stage) => {
    const { client, accepted } = await stage.pair({}, { allowHalfOpen: true });
    stage.lane('client').watch(client, 'finish', 'error', 'close');
    accepted.end();
    client.resume();
    const writer = Writable.toWeb(client).getWriter();
    await writer.write(Buffer.from('to the web'));
    await writer.close();
    const received = await collect(Readable.toWeb(accepted) as AsyncIterable<unknown>);
    stage.lane('accepted').note('received', received);
    await closed(client, accepted);
  },

  'Duplex.toWeb both ways, with much': async (stage) => {
    const { client, accepted } = await stage.pair();
    accepted.pipe(accepted);
    const { readable, writable } = webOf(client);
    const sent = Buffer.alloc(1_000_000, 'there and back ');
    const writer = writable.getWriter();
    const writing = writer.write(sent).then(() => writer.close());
    const received = await collect(readable);
    await writing;
    stage.lane('client').note('back', received.equals(sent));
    await closed(client, accepted);
  },

  'cancelling and aborting web streams': async (stage) => {
    for (const how of ['cancel', 'abort'] as const) {
      const { client, accepted } = await stage.pair();
      const lane = stage.lane(how);
      lane.watch(client, 'error', 'close');
      const { readable, writable } = webOf(client);
      if (how === 'cancel') await readable.cancel(new Error('no more'));
      else await writable.abort(new Error('no more'));
      accepted.on('error', () => undefined).resume();
      await closed(client, accepted);
      lane.note('destroyed', client.destroyed);
    }
  },

  'a reset errors the web streams': async (stage) => {
    const { client, accepted } = await stage.pair();
    const { readable, writable } = webOf(client);
    const lane = stage.lane('client');
    const reader = readable.getReader();
    const reading = reader.read().catch((error: unknown) => lane.note('read', error));
    accepted.resetAndDestroy();
    await reading;
    await closed(client, accepted);
    const writer = writable.getWriter();
    await writer.write(Buffer.from('x')).catch((error: unknown) => lane.note('write', error));
  },

  'pipeline through both sockets': async (stage) => {
    const { client, accepted } = await stage.pair();
    const upper = new Transform({
      transform(chunk: Buffer, _encoding, callback) {
        callback(null, chunk.toString().toUpperCase());
      },
    });
    const echoing = new Promise<unknown>((resolve) => {
      pipeline(accepted, upper, accepted, resolve);
    });
    const out = new PassThrough();
    const collecting = collect(out);
    await pipelinePromise(Readable.from(['shout ', 'this']), client, out);
    stage.lane('client').note('back', await collecting);
    stage.lane('accepted').note('callback', await echoing);
    await closed(client, accepted);
  },

  'a pipeline whose source fails destroys the socket': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('client');
    lane.watch(client, 'error', 'close');
    stage.lane('accepted').watch(accepted, 'end', 'close').resume();
    const source = new Readable({ read: () => undefined });
    const done = pipelinePromise(source, client).catch((error: unknown) =>
      lane.note('fails', error),
    );
    source.push('some');
    await turn();
    source.destroy(new Error('the source is gone'));
    await done;
    await closed(client, accepted);
  },

  'a pipeline whose socket is reset': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('client');
    const sink = new PassThrough();
    const done = pipelinePromise(client, sink).catch((error: unknown) => lane.note('fails', error));
    accepted.resetAndDestroy();
    await done;
    lane.note('sink', sink.destroyed);
    await closed(client, accepted);
  },

  'finished tells of the end, and of one that came early': async (stage) => {
    for (const how of ['end', 'destroy'] as const) {
      const { client, accepted } = await stage.pair();
      for (const [name, socket] of Object.entries({ client, accepted })) {
        finished(socket, (error) => stage.lane(name).note(`finished after ${how}`, error));
      }
      accepted.resume();
      client.resume();
      if (how === 'end') client.end();
      else client.destroy();
      await closed(client, accepted);
      await turn();
    }
  },

  'pipe and unpipe': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('client');
    lane.watch(client, 'unpipe', 'pipe', 'close');
    const sink = new PassThrough();
    lane.note('pipe', client.pipe(sink) === sink, client.readableFlowing);
    accepted.write('piped');
    const piped = await new Promise((resolve) => sink.once('data', resolve));
    lane.note('piped', piped);
    client.unpipe(sink);
    lane.note('unpiped', client.readableFlowing, sink.writableEnded);
    client.on('data', (data) => lane.data(data)).resume();
    accepted.end('not piped');
    await closed(client, accepted.resume());
  },
};
