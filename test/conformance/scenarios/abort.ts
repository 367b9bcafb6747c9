/** AbortSignal, in each phase of a socket and of a server. */
import { once } from 'node:events';
import net from 'node:net';
import type { Scenarios } from '../scenario';
import { SERVER_EVENTS, closed, next, turn } from '../stage';

const EVENTS = ['connect', 'ready', 'end', 'error', 'close'];

export const abort: Scenarios = {
  'before connecting': async (stage) => {
    const port = await stage.listen(stage.createServer());
    const client = stage.connect(port, { signal: AbortSignal.abort() });
    const lane = stage.lane('client');
    lane.watch(client, ...EVENTS);
    await closed(client);
    lane.note('state', client.destroyed, client.connecting, client.errored);
  },

  'with a reason': async (stage) => {
    const port = await stage.listen(stage.createServer());
    const controller = new AbortController();
    const client = stage.connect(port, { signal: controller.signal });
    const lane = stage.lane('client');
    client.on('error', (error) => lane.note('error', error, error.cause));
    controller.abort(new Error('changed my mind'));
    await closed(client);
  },

  'while connecting': async (stage) => {
    const port = await stage.listen(stage.createServer());
    const controller = new AbortController();
    const client = stage.connect(port, { signal: controller.signal });
    const lane = stage.lane('client');
    lane.watch(client, ...EVENTS);
    client.write('never', (error) => lane.note('callback of write', error));
    lane.note('abort', client.connecting);
    controller.abort();
    lane.note('aborted', client.destroyed, client.connecting);
    await closed(client);
  },

  'when connected, with a write under way': async (stage) => {
    const controller = new AbortController();
    const { client, accepted } = await stage.pair({ signal: controller.signal });
    const lane = stage.lane('client');
    lane.watch(client, ...EVENTS);
    accepted.on('error', () => undefined);
    accepted.on('close', () => stage.lane('accepted').note('close'));
    accepted.pause();
    // Not in order with the others: see the README about writes that are cut off.
    const written = new Promise<void>((resolve) => {
      client.write(Buffer.alloc(16 * 1024 * 1024), () => {
        stage.lane('write').note('callback');
        resolve();
      });
    });
    await turn();
    controller.abort();
    accepted.resume();
    await closed(client, accepted);
    await written;
  },

  'after the end nothing happens': async (stage) => {
    const controller = new AbortController();
    const { client, accepted } = await stage.pair({ signal: controller.signal });
    const lane = stage.lane('client');
    lane.watch(client.resume(), ...EVENTS).end();
    await closed(client, accepted.resume());
    controller.abort();
    await turn();
    lane.note('state', client.destroyed, client.errored);
  },

  'waiting for an event of a socket': async (stage) => {
    const { client } = await stage.pair();
    const controller = new AbortController();
    const waiting = once(client, 'data', { signal: controller.signal });
    controller.abort();
    await waiting.catch((error: unknown) => stage.lane('client').note('rejected', error));
    stage.lane('client').note('state', client.destroyed);
  },

  'a server before and while it listens': async (stage) => {
    const lane = stage.lane('server');
    const never = stage.createServer();
    lane.watch(never, ...SERVER_EVENTS);
    never.listen({ port: 0, host: stage.address, signal: AbortSignal.abort() });
    await next(never, 'close');
    lane.note('never', never.listening);
    const controller = new AbortController();
    const server = stage.createServer();
    const port = await stage.listen(server, { signal: controller.signal });
    lane.watch(server, ...SERVER_EVENTS);
    controller.abort();
    lane.note('aborted', server.listening);
    await next(server, 'close');
    const client = stage.connect(port);
    const [error] = (await next(client, 'error')) as [NodeJS.ErrnoException];
    stage.lane('client').note('code', error.code);
  },

  'a socket that waits for a name': async (stage) => {
    const port = await stage.listen(stage.createServer());
    const controller = new AbortController();
    const client = stage.track(
      net.connect({
        port,
        host: 'a-name.test',
        signal: controller.signal,
        lookup: () => {
          setImmediate(() => controller.abort());
        },
      } as net.NetConnectOpts),
    );
    stage.lane('client').watch(client, 'lookup', ...EVENTS);
    await closed(client);
  },
};
