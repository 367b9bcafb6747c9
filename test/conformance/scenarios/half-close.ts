/** One side has ended and the other goes on: `allowHalfOpen` on both sides. */
import type { Scenarios } from '../scenario';
import { SOCKET_EVENTS, closed, next, turn, type Stage } from '../stage';

/** One side ends first; the other says something then, and ends if it has to. */
async function endFirst(
  stage: Stage,
  first: 'client' | 'accepted',
  options: { client: boolean; server: boolean },
): Promise<void> {
  const pair = await stage.pair(
    { allowHalfOpen: options.client },
    { allowHalfOpen: options.server },
  );
  const { client, accepted } = pair;
  stage.lane('client').watch(client, ...SOCKET_EVENTS);
  stage.lane('accepted').watch(accepted, ...SOCKET_EVENTS);
  const [ending, other, name] =
    first === 'client' ? [client, accepted, 'accepted'] : [accepted, client, 'client'];
  const lane = stage.lane(name);
  other.on('end', () => {
    lane.note('state', other.readyState, other.writable, other.writableEnded);
    other.write('after the end', (error) => lane.note('callback of write', error));
    setImmediate(() => other.end(() => lane.note('callback of end')));
  });
  ending.end('that is all');
  stage.lane(first).note('state', ending.readyState, ending.writable, ending.writableEnded);
  await closed(client, accepted);
}

export const halfClose: Scenarios = {
  'the client ends, and the server may stay half open': (stage) =>
    endFirst(stage, 'client', { client: false, server: true }),
  'the client ends, and the server may not stay half open': (stage) =>
    endFirst(stage, 'client', { client: false, server: false }),
  'the server ends, and the client may stay half open': (stage) =>
    endFirst(stage, 'accepted', { client: true, server: false }),
  'the server ends, and the client may not stay half open': (stage) =>
    endFirst(stage, 'accepted', { client: false, server: false }),

  'both end at once': async (stage) => {
    const { client, accepted } = await stage.pair();
    for (const [name, socket] of Object.entries({ client, accepted })) {
      // Whether the own end has been sent before the other comes is a matter of time.
      stage.lane(`${name} reads`).watch(socket, 'data', 'end', 'error', 'close');
      stage.lane(`${name} writes`).watch(socket, 'prefinish', 'finish');
    }
    client.end('from the client');
    accepted.end('from the server');
    await closed(client, accepted);
  },

  'much still comes after the own end': async (stage) => {
    const { client, accepted } = await stage.pair({}, { allowHalfOpen: true });
    stage.lane('client').watch(client, 'data', 'end', 'finish', 'close');
    client.end();
    await next(accepted.resume(), 'end');
    accepted.end(Buffer.alloc(300_000, 'much '));
    await closed(client, accepted);
    stage.lane('client').note('bytes', client.bytesRead, client.bytesWritten);
  },

  'a write after the own end is an error': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('client');
    lane.watch(client, ...SOCKET_EVENTS);
    stage.lane('accepted').watch(accepted, 'data', 'end', 'error', 'close');
    client.end('the end');
    lane.note(
      'write',
      client.write('too late', (error) => lane.note('callback', error)),
    );
    await closed(client, accepted);
    client.end('again', () => lane.note('callback of end'));
    await turn();
  },

  'ending twice calls back twice': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('client');
    lane.watch(client, 'finish', 'error', 'close');
    client.resume().end((error?: Error) => lane.note('first', error));
    client.end((error?: Error) => lane.note('second', error));
    accepted.resume();
    await closed(client, accepted);
    client.end((error?: Error) => lane.note('third', error));
    await turn();
  },

  'a paused socket does not end until it is read': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('client');
    lane.watch(client, 'end', 'finish', 'close');
    client.pause();
    accepted.end('read me');
    await next(accepted, 'finish');
    await turn();
    lane.note('paused', client.readableEnded, client.writableEnded);
    client.on('data', (data) => lane.data(data));
    client.resume();
    await closed(client, accepted);
  },
};
