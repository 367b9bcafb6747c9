/** `resetAndDestroy`, and what both sides see of a reset. */
import net from 'node:net';
import type { Scenarios } from '../scenario';
import { SOCKET_EVENTS, closed, next, turn } from '../stage';

const EVENTS = ['end', 'error', 'close'];

export const reset: Scenarios = {
  'a client resets': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('client');
    lane.watch(client, ...EVENTS);
    stage.lane('accepted').watch(accepted.resume(), ...EVENTS);
    lane.note('reset', client.resetAndDestroy() === client, client.destroyed, client.readyState);
    await closed(client, accepted);
    stage.lane('accepted').note('closed', accepted.errored, accepted.destroyed);
  },

  'a server resets': async (stage) => {
    const { client, accepted } = await stage.pair();
    stage.lane('client').watch(client.resume(), ...EVENTS);
    stage.lane('accepted').watch(accepted, ...EVENTS);
    accepted.resetAndDestroy();
    await closed(client, accepted);
    stage.lane('client').note('closed', client.errored, client.destroyed, client.bytesRead);
  },

  'a reset without a listener for errors is uncaught': async (stage) => {
    const { client, accepted } = await stage.pair();
    stage.lane('client').watch(client.resume(), 'end', 'close');
    accepted.resetAndDestroy();
    await closed(client, accepted);
  },

  'a reset ends a write that waits': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('client');
    accepted.pause();
    client.on('error', (error) => lane.note('error', (error as NodeJS.ErrnoException).syscall));
    client.on('close', (hadError) => lane.note('close', hadError));
    client.write(Buffer.alloc(16 * 1024 * 1024), (error) => {
      lane.note('callback', error?.name, client.destroyed);
    });
    await turn();
    accepted.resetAndDestroy();
    await closed(client, accepted);
    lane.note('finished', client.writableFinished, client.writable);
  },

  'writing after a reset was seen': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('client');
    lane.watch(client.resume(), 'error', 'close');
    accepted.resetAndDestroy();
    await closed(client, accepted);
    lane.note(
      'write',
      client.write('too late', (error) => lane.note('callback', error)),
    );
    await turn();
    lane.note('end', client.end('still later', () => lane.note('callback of end')) === client);
    await turn();
  },

  'a socket that was never connected cannot be reset': async (stage) => {
    const client = stage.track(new net.Socket());
    const lane = stage.lane('client');
    lane.watch(client, ...SOCKET_EVENTS);
    lane.note('reset', client.resetAndDestroy() === client);
    await closed(client);
    client.resetAndDestroy();
    await turn();
  },

  'a reset while connecting comes after connecting': async (stage) => {
    const server = stage.createServer();
    server.on('connection', (socket) => {
      stage.lane('accepted').watch(socket.resume(), ...EVENTS);
    });
    const client = stage.connect(await stage.listen(server));
    const accepting = next(server, 'connection');
    const lane = stage.lane('client');
    lane.watch(client, 'connect', 'ready', ...EVENTS);
    lane.note('reset', client.resetAndDestroy() === client, client.destroyed);
    await closed(client);
    const [accepted] = (await accepting) as [net.Socket];
    await closed(accepted);
  },

  'a reset after the own end': async (stage) => {
    const { client, accepted } = await stage.pair({}, { allowHalfOpen: true });
    stage.lane('client').watch(client, ...EVENTS);
    stage.lane('accepted').watch(accepted.resume(), ...EVENTS);
    client.end();
    await next(accepted, 'end');
    client.resetAndDestroy();
    // Only who writes notices that nobody is there any more.
    accepted.end();
    await closed(client, accepted);
  },

  'a closed socket is reset again': async (stage) => {
    const { client, accepted } = await stage.pair();
    accepted.resume();
    client.resume().end();
    await closed(client, accepted);
    const lane = stage.lane('client');
    lane.watch(client, ...EVENTS);
    lane.note('reset', client.resetAndDestroy() === client, client.errored);
    await turn();
  },
};
