/** The ways to be done with a socket or server: disposing, destroySoon, ends of http servers. */
import http from 'node:http';
import type { Server, Socket } from 'node:net';
import type { Scenarios } from '../scenario';
import { SOCKET_EVENTS, closed, next, turn } from '../stage';

// What these are called is not known to the language that is compiled to.
interface Disposable {
  [key: symbol]: (() => Promise<void>) | undefined;
}
const asyncDispose = (Symbol as unknown as { asyncDispose: symbol }).asyncDispose;

function dispose(target: Server | Socket): Promise<void> | undefined {
  return (target as unknown as Disposable)[asyncDispose]?.();
}

export const endings: Scenarios = {
  'disposing of a socket destroys it': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('client');
    lane.watch(client, ...SOCKET_EVENTS);
    stage.lane('accepted').watch(accepted.resume(), 'end', 'close', 'error');
    const noteFailure = (error: unknown): void => lane.note('rejected', error);
    await dispose(client)?.catch(noteFailure);
    lane.note('disposed', client.destroyed, client.closed, client.errored);
    await dispose(client)?.catch(noteFailure);
    await closed(client, accepted);
  },

  'disposing of a server waits for its connections': async (stage) => {
    const { client, accepted, server } = await stage.pair();
    const lane = stage.lane('server');
    lane.watch(server, 'close');
    const disposing = dispose(server)?.then(() => lane.note('disposed'));
    lane.note('disposing', server.listening);
    client.resume().end();
    accepted.resume();
    await disposing;
    await Promise.resolve(dispose(server)).then(
      () => lane.note('disposed again'),
      (error: unknown) => lane.note('rejected', error),
    );
  },

  'destroySoon sends what was written first': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('client');
    lane.watch(client, ...SOCKET_EVENTS);
    stage.lane('accepted').watch(accepted, 'data', 'end', 'error', 'close');
    client.write(Buffer.alloc(500_000, 'soon '));
    client.destroySoon();
    lane.note('state', client.destroyed, client.writableEnded, client.readyState);
    await closed(client, accepted);
  },

  'destroySoon with nothing to send': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('client');
    lane.watch(client, ...SOCKET_EVENTS);
    stage.lane('accepted').watch(accepted.resume(), 'end', 'error', 'close');
    client.destroySoon();
    await closed(client, accepted);
    client.destroySoon();
    await turn();
  },

  'what was written before an end arrives before it': async (stage) => {
    const { client, accepted } = await stage.pair();
    stage.lane('accepted').watch(accepted, 'data', 'end', 'close');
    for (let index = 0; index < 100; index++) client.write(Buffer.alloc(10_000, index));
    client.resume().end('the end', () => {
      stage.lane('client').note('ended', client.bytesWritten);
    });
    await closed(client, accepted);
    stage.lane('accepted').note('bytes', accepted.bytesRead);
  },

  'closeAllConnections and closeIdleConnections of an http server': async (stage) => {
    const server = stage.trackServer(http.createServer());
    const lane = stage.lane('server');
    server.on('request', (request, response) => {
      lane.note('request', request.method, request.url);
      if (request.url === '/answered') response.end('answer');
    });
    const port = await stage.listen(server);
    const [idle, busy] = [stage.connect(port), stage.connect(port)];
    idle.write('GET /answered HTTP/1.1\r\nHost: x\r\n\r\n');
    await next(idle, 'data');
    busy.write('GET /never HTTP/1.1\r\nHost: x\r\n\r\n');
    await next(server, 'request');
    for (const [name, client] of Object.entries({ idle, busy })) {
      stage.lane(name).watch(client.resume(), 'end', 'error', 'close');
    }
    server.closeIdleConnections();
    await closed(idle);
    stage.lane('busy').note('is open', busy.readyState);
    server.closeAllConnections();
    await closed(busy);
    server.close();
    await closed(server);
  },
};
