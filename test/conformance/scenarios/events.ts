/** The life of a connection in events: which, in what order, with what. */
import http2 from 'node:http2';
import net from 'node:net';
import type { Scenarios } from '../scenario';
import { SERVER_EVENTS, SOCKET_EVENTS, closed, next, turn } from '../stage';

export const events: Scenarios = {
  'a conversation that the client ends': async (stage) => {
    const server = stage.lane('server').watch(stage.createServer(), ...SERVER_EVENTS);
    server.on('connection', (socket) => {
      stage.lane('accepted').watch(socket, ...SOCKET_EVENTS);
      socket.on('data', (data) => socket.write(data));
    });
    const port = await stage.listen(server);
    const client = stage.connect(port);
    stage.lane('client').watch(client, ...SOCKET_EVENTS);
    client.write('hello', () => stage.lane('client writes').note('callback'));
    client.once('data', () => client.end('bye', () => stage.lane('client writes').note('ended')));
    await closed(client);
    server.close((error) => stage.lane('server').note('callback of close', error));
    await closed(server);
  },

  'a conversation that the server ends': async (stage) => {
    const server = stage.createServer();
    server.on('connection', (socket) => {
      stage.lane('accepted').watch(socket, ...SOCKET_EVENTS);
      socket.resume().end('take this');
    });
    const client = stage.connect(await stage.listen(server));
    stage.lane('client').watch(client, ...SOCKET_EVENTS);
    await closed(client);
    await stage.allClosed();
  },

  'what is written and ended while connecting arrives in order': async (stage) => {
    const server = stage.createServer();
    const port = await stage.listen(server);
    const accepting = next(server, 'connection');
    const client = stage.track(new net.Socket());
    const lane = stage.lane('client');
    lane.watch(client, ...SOCKET_EVENTS);
    client.connect(port, stage.address, () => lane.note('callback of connect'));
    client.write('one', () => lane.note('one written'));
    client.write('two', () => lane.note('two written'));
    client.end('three', () => lane.note('ended'));
    const [accepted] = (await accepting) as [net.Socket];
    stage.lane('accepted').watch(accepted, ...SOCKET_EVENTS);
    await closed(client, accepted);
  },

  'http2 sends the requests of a tick before it reads what the server allows': async (stage) => {
    const settings = { maxConcurrentStreams: 1 };
    const server = stage.trackServer(http2.createServer({ settings }));
    server.on('stream', (stream: http2.ServerHttp2Stream) => {
      stream.respond();
      stream.end('hello');
    });
    const port = await stage.listen(server);
    const createConnection = (): net.Socket => stage.connect(port);
    const session = http2.connect('http://a-name.test', { createConnection });
    const requests = ['allowed', 'refused'].map((name) => {
      const lane = stage.lane(name);
      const request = session.request({ ':method': 'POST' }).resume();
      request.on('response', () => lane.note('response'));
      lane.watch(request, 'aborted', 'error');
      return new Promise((resolve) => request.end().once('close', resolve));
    });
    await Promise.all(requests);
    session.close();
    await stage.allClosed();
  },

  'a socket connects again after it was closed': async (stage) => {
    const server = stage.createServer();
    server.on('connection', (socket) => {
      stage.lane('accepted').watch(socket, 'data', 'end', 'close');
      socket.end('hello');
    });
    const port = await stage.listen(server);
    const client = stage.track(new net.Socket());
    stage.lane('client').watch(client, ...SOCKET_EVENTS);
    for (let round = 0; round < 2; round++) {
      client.connect(port, stage.address);
      stage
        .lane('client')
        .note('connecting', client.readyState, client.destroyed, client.bytesRead);
      await next(client, 'connect');
      await closed(client);
      stage.lane('client').note('bytes', client.bytesRead, client.bytesWritten);
      await stage.allClosed();
    }
  },

  'a socket that connects is told to connect': async (stage) => {
    const port = await stage.listen(stage.createServer());
    const client = stage.connect(port);
    const lane = stage.lane('client');
    lane.watch(client, 'connect', 'close');
    // Its message has a local address, which TCP alone has so early.
    client.on('error', ({ code, syscall }: NodeJS.ErrnoException) => {
      lane.note('error', code, syscall);
    });
    client.connect(port, stage.address);
    await closed(client);
  },

  'a socket that is connected is told to connect, once and again': async (stage) => {
    const { client, accepted, port } = await stage.pair();
    const lane = stage.lane('client');
    lane.watch(client, ...SOCKET_EVENTS);
    stage.lane('accepted').watch(accepted, ...SOCKET_EVENTS);
    client.connect(port, stage.address);
    lane.note('state', client.readyState);
    await next(client, 'connect');
    lane.note('state', client.readyState);
    client.write('still the same');
    await next(accepted, 'data');
    client.connect(port, stage.address);
    await closed(client, accepted);
  },

  'what cannot be connected or bound any more': async (stage) => {
    const { accepted, port } = await stage.pair();
    stage.lane('accepted').watch(accepted, 'connect', 'error', 'close');
    accepted.connect(port, stage.address);
    await closed(accepted);
    const { client } = await stage.pair();
    stage.lane('client').watch(client, 'connect', 'error', 'close');
    client.connect({ port, host: stage.address, localPort: port });
    await closed(client);
  },

  'what a listener throws is uncaught, and the connection goes on': async (stage) => {
    const { client, accepted } = await stage.pair();
    stage.lane('client').watch(client, 'data', 'end', 'close');
    accepted.on('end', () => stage.lane('accepted').note('end'));
    accepted.once('data', (data) => {
      stage.lane('accepted').data(data);
      accepted.write('thrown');
      throw new Error('from a listener');
    });
    client.write('hello');
    await next(client, 'data');
    accepted.on('data', (data) => stage.lane('accepted').data(data));
    client.end('more');
    await closed(client, accepted);
  },

  'nothing is emitted during the calls that cause it': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('client');
    lane.watch(client, ...SOCKET_EVENTS);
    client.write('a', () => lane.note('callback of write'));
    lane.note('write has returned');
    process.nextTick(() => lane.note('tick'));
    await turn();
    client.end('b', () => lane.note('callback of end'));
    lane.note('end has returned');
    await turn();
    accepted.resume();
    await closed(client, accepted);
  },

  'destroying emits close alone, and the peer sees an end': async (stage) => {
    const { client, accepted } = await stage.pair();
    stage.lane('client').watch(client, ...SOCKET_EVENTS);
    stage.lane('accepted').watch(accepted, ...SOCKET_EVENTS);
    stage.lane('client').note('destroy', client.destroy() === client, client.destroyed);
    await closed(client, accepted);
  },

  'destroying with an error emits it before close': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('client');
    lane.watch(client, ...SOCKET_EVENTS);
    stage.lane('accepted').watch(accepted, ...SOCKET_EVENTS);
    client.destroy(new Error('on purpose'));
    lane.note('errored', client.errored, client.closed);
    client.destroy(new Error('too late'));
    await closed(client, accepted);
    lane.note('errored', client.errored, client.closed, client.readableAborted);
  },

  'a write whose socket is destroyed in the same tick': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('client');
    lane.watch(client, ...SOCKET_EVENTS);
    stage.lane('accepted').watch(accepted, 'data', 'end', 'error', 'close');
    client.write('last words', (error) => lane.note('callback', error));
    client.destroy();
    await closed(client, accepted);
  },

  'a socket destroyed while it connects emits close only': async (stage) => {
    const server = stage.createServer();
    const port = await stage.listen(server);
    for (const error of [undefined, new Error('while connecting')]) {
      const client = stage.connect(port);
      const lane = stage.lane('client');
      lane.watch(client, ...SOCKET_EVENTS);
      client.write('never', (failure) => lane.note('callback of write', failure));
      client.destroy(error);
      lane.note('destroyed', client.connecting, client.readyState, client.pending);
      await closed(client);
      lane.note('closed', client.connecting, client.readyState, client.pending);
    }
  },

  'a socket destroyed when it has begun to connect emits close only': async (stage) => {
    const server = stage.createServer();
    const port = await stage.listen(server);
    const client = stage.connect(port);
    const lane = stage.lane('client');
    lane.watch(client, 'connect', 'ready', 'error', 'close');
    await next(client, 'connectionAttempt');
    client.destroy();
    await closed(client);
  },
};
