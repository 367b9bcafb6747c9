/** `setTimeout` and the option `timeout`. */
import net from 'node:net';
import type { Scenarios } from '../scenario';
import { closed, next } from '../stage';

const SHORT_MS = 20;
/** Of which nobody waits for the end. */
const LONG_MS = 100_000;

export const timeouts: Scenarios = {
  'an idle socket times out, and stays open': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('client');
    lane.watch(client, 'timeout', 'data', 'error', 'close');
    lane.note('set', client.setTimeout(SHORT_MS) === client, client.timeout);
    await next(client, 'timeout');
    lane.note('state', client.destroyed, client.readyState, client.timeout);
    client.setTimeout(0);
    lane.note('off', client.timeout);
    accepted.write('still here');
    await next(client, 'data');
    client.end();
    await closed(client, accepted.resume());
  },

  'both sides may time out, with a callback': async (stage) => {
    const { client, accepted } = await stage.pair();
    const timed = Promise.all([next(client, 'timeout'), next(accepted, 'timeout')]);
    for (const [name, socket] of Object.entries({ client, accepted })) {
      const lane = stage.lane(name);
      socket.setTimeout(SHORT_MS, () => lane.note('callback', socket.listenerCount('timeout')));
    }
    await timed;
    client.destroy();
    await closed(client, accepted.resume());
  },

  'the option timeout counts from before connecting': async (stage) => {
    const server = stage.createServer();
    const client = stage.connect(await stage.listen(server), { timeout: SHORT_MS });
    const lane = stage.lane('client');
    lane.note('set', client.timeout);
    // Which of them is first is a matter of how busy this machine is.
    const events = [next(client, 'timeout'), next(client, 'connect'), next(server, 'connection')];
    await Promise.all(events);
    lane.note('timeout', client.connecting, client.destroyed);
  },

  'a timeout while the name is looked up': async (stage) => {
    let answer: (() => void) | undefined;
    const server = stage.createServer();
    const port = await stage.listen(server);
    const client = stage.connect(port, {
      host: 'a-name.test',
      family: 4,
      timeout: SHORT_MS,
      lookup: (_name: string, _options: unknown, callback: (...values: unknown[]) => void) => {
        answer = () => callback(null, stage.address, net.isIP(stage.address));
      },
    });
    const lane = stage.lane('client');
    lane.watch(client, 'lookup', 'connect', 'ready', 'timeout', 'close');
    await next(client, 'timeout');
    client.setTimeout(0);
    answer?.();
    await Promise.all([next(client, 'ready'), next(server, 'connection')]);
  },

  'a timeout that is set twice counts once': async (stage) => {
    const { client } = await stage.pair();
    const lane = stage.lane('client');
    const callback = (): void => lane.note('never called');
    client.setTimeout(LONG_MS, callback);
    client.setTimeout(SHORT_MS);
    lane.note('listeners', client.listenerCount('timeout'), client.timeout);
    client.setTimeout(0, callback);
    lane.note('listeners', client.listenerCount('timeout'), client.timeout);
  },

  'what is no timeout is an error': async (stage) => {
    const { client } = await stage.pair();
    const lane = stage.lane('client');
    for (const wrong of ['100', -1, Infinity, NaN, null]) {
      lane.try(`setTimeout ${String(wrong)}`, () => client.setTimeout(wrong as number).timeout);
    }
    lane.try('callback', () => client.setTimeout(LONG_MS, 'no function' as never).timeout);
  },

  'destroying on timeout is seen by the peer': async (stage) => {
    const { client, accepted } = await stage.pair();
    stage.lane('client').watch(client, 'timeout', 'end', 'error', 'close');
    stage.lane('accepted').watch(accepted.resume(), 'timeout', 'end', 'error', 'close');
    client.setTimeout(SHORT_MS, () => client.destroy());
    await closed(client, accepted);
  },

  'a write that the peer does not read times out': async (stage) => {
    const { client, accepted } = await stage.pair();
    accepted.pause();
    const lane = stage.lane('client');
    lane.watch(client, 'timeout', 'close');
    // More than the buffers of any transport take.
    lane.note('write', client.write(Buffer.alloc(16 * 1024 * 1024)));
    client.setTimeout(SHORT_MS);
    await next(client, 'timeout');
    lane.note('waits', client.writableLength > 0, client.writableNeedDrain);
    client.destroy();
    accepted.on('error', () => undefined).resume();
    await closed(client, accepted);
  },
};
