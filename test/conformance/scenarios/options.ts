/** Options of sockets and servers that concern how a connection is used. */
import net from 'node:net';
import { nodeMajor, type Scenarios } from '../scenario';
import { SERVER_EVENTS, SOCKET_EVENTS, closed, next, turn } from '../stage';

const hasTypeOfService = 'setTypeOfService' in net.Socket.prototype;

interface TypeOfService {
  setTypeOfService(value: unknown): net.Socket;
  getTypeOfService(): number;
}

export const options: Scenarios = {
  'noDelay and keepAlive as options of both sides': async (stage) => {
    const both = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 5000 };
    const { client, accepted, server } = await stage.pair(both, both);
    stage.lane('server').note('options', Reflect.get(server, 'noDelay'));
    stage.lane('server').note('options', Reflect.get(server, 'keepAlive'));
    accepted.pipe(accepted);
    client.on('data', (data) => stage.lane('client').data(data)).end('small');
    await closed(client, accepted);
  },

  'setNoDelay and setKeepAlive at any time return the socket': async (stage) => {
    const server = stage.createServer();
    const port = await stage.listen(server);
    const client = stage.track(new net.Socket());
    const lane = stage.lane('client');
    const setAll = (when: string): void => {
      lane.try(`${when}: no delay`, () => client.setNoDelay() === client);
      lane.try(`${when}: delay`, () => client.setNoDelay(false) === client);
      lane.try(`${when}: keep alive`, () => client.setKeepAlive(true, 1000) === client);
      lane.try(`${when}: longer`, () => client.setKeepAlive(true, 70_000.5) === client);
      lane.try(`${when}: too long`, () => client.setKeepAlive(true, 1e12) === client);
      lane.try(
        `${when}: words`,
        () => client.setKeepAlive('yes' as never, 'x' as never) === client,
      );
      lane.try(`${when}: not`, () => client.setKeepAlive(false) === client);
    };
    setAll('new');
    const accepting = next(server, 'connection');
    client.connect(port, stage.address);
    setAll('connecting');
    await next(client, 'connect');
    setAll('connected');
    client.resume().end('and it still writes');
    setAll('ended');
    const [accepted] = (await accepting) as [net.Socket];
    accepted.resume();
    await closed(client, accepted);
    setAll('closed');
  },

  'keepAlive takes an object': {
    known: nodeMajor >= 26,
    play: async (stage) => {
      const { client } = await stage.pair();
      const wanted = { enable: true, initialDelay: 3000, interval: 1000, count: 3 };
      const setKeepAlive = client.setKeepAlive.bind(client) as (options: unknown) => net.Socket;
      stage.lane('client').try('keep alive', () => setKeepAlive(wanted) === client);
      stage.lane('client').try('not', () => setKeepAlive({ enable: false }) === client);
    },
  },

  'the type of service is what was set': {
    known: hasTypeOfService,
    play: async (stage) => {
      const { client, accepted } = await stage.pair({ typeOfService: 0x10 });
      const fresh = stage.track(new net.Socket());
      for (const [name, socket] of Object.entries({ client, accepted, fresh })) {
        const lane = stage.lane(name);
        const service = socket as unknown as TypeOfService;
        lane.try('get', () => service.getTypeOfService());
        lane.try('set', () => service.setTypeOfService(0x20) === socket);
        lane.try('get', () => service.getTypeOfService());
        for (const wrong of [-1, 256, NaN, 'x', undefined]) {
          lane.try(`set ${String(wrong)}`, () => service.setTypeOfService(wrong) === socket);
        }
      }
      client.destroy();
      await closed(client, accepted.resume());
      const closedSocket = client as unknown as TypeOfService;
      stage.lane('client').try('get', () => closedSocket.getTypeOfService());
    },
  },

  'high water marks of both sides': async (stage) => {
    const { client, accepted } = await stage.pair({ highWaterMark: 100 }, { highWaterMark: 200 });
    for (const [name, socket] of Object.entries({ client, accepted })) {
      const lane = stage.lane(name);
      lane.note('marks', socket.readableHighWaterMark, socket.writableHighWaterMark);
      lane.watch(socket, 'drain', 'end', 'close');
      lane.note('below', socket.write('x'.repeat(99)), socket.writableNeedDrain);
      lane.note('at 100', socket.write('x'.repeat(100)), socket.writableNeedDrain);
      lane.note('at 200', socket.write('x'.repeat(200)), socket.writableNeedDrain);
    }
    await turn();
    accepted.resume();
    client.resume().end();
    await closed(client, accepted);
  },

  'separate high water marks of a client': async (stage) => {
    const { client } = await stage.pair({ readableHighWaterMark: 10, writableHighWaterMark: 1 });
    const lane = stage.lane('client');
    lane.watch(client, 'drain');
    lane.note('marks', client.readableHighWaterMark, client.writableHighWaterMark);
    lane.note('write', client.write('x'), client.writableNeedDrain, client.writableLength);
    lane.note('write', client.write(''), client.writableNeedDrain, client.writableLength);
  },

  'a full readable side stops reading until it is read': async (stage) => {
    const { client, accepted } = await stage.pair({ readableHighWaterMark: 1024 });
    const lane = stage.lane('client');
    client.pause();
    // More than the buffers of any transport take.
    const bytes = 16 * 1024 * 1024;
    accepted.end(Buffer.alloc(bytes, 'water'));
    await next(client, 'readable');
    await turn();
    lane.note('waits', accepted.writableLength > 0, client.bytesRead < bytes);
    lane.watch(client, 'data', 'end', 'close').resume();
    await closed(client, accepted);
    lane.note('all', client.bytesRead === bytes, accepted.bytesWritten === bytes);
  },

  'pauseOnConnect: nothing is read before resume': {
    onTcp: true,
    play: async (stage) => {
      const server = stage.createServer({ pauseOnConnect: true });
      const port = await stage.listen(server);
      const accepting = next(server, 'connection');
      const client = stage.connect(port);
      client.end('early');
      const [accepted] = (await accepting) as [net.Socket];
      const lane = stage.lane('accepted');
      lane.watch(accepted, ...SOCKET_EVENTS);
      await turn();
      lane.note('paused', accepted.isPaused(), accepted.readableFlowing, accepted.bytesRead);
      accepted.resume();
      await closed(accepted, client.resume());
    },
  },

  'a paused client reads nothing before resume': async (stage) => {
    const server = stage.createServer();
    server.on('connection', (socket) => socket.end('early'));
    const port = await stage.listen(server);
    const client = stage.track(new net.Socket());
    const lane = stage.lane('client');
    client.pause();
    lane.watch(client, 'connect', 'ready', 'data', 'end', 'close', 'pause', 'resume');
    client.pause();
    client.connect(port, stage.address);
    await next(client, 'connect');
    await turn();
    lane.note('paused', client.isPaused(), client.readableFlowing, client.readableLength);
    client.resume();
    await closed(client);
  },

  'a server with options of its own for accepted sockets': async (stage) => {
    const { accepted, server } = await stage.pair({}, { allowHalfOpen: true, noDelay: false });
    const lane = stage.lane('server');
    lane.watch(server, ...SERVER_EVENTS);
    lane.note('accepted', accepted.allowHalfOpen, accepted.timeout, accepted.readableFlowing);
  },

  'a socket that is not readable, or not writable': async (stage) => {
    const server = stage.createServer({ allowHalfOpen: true });
    server.on('connection', (socket) => socket.resume().on('end', () => socket.end()));
    const port = await stage.listen(server);
    for (const option of [{ readable: false }, { writable: false }, { allowHalfOpen: true }]) {
      const client = stage.track(new net.Socket(option as never));
      const lane = stage.lane('client');
      lane.note('option', option);
      lane.watch(client, 'connect', 'data', 'end', 'finish', 'error', 'close');
      client.connect(port, stage.address);
      await next(client, 'connect');
      lane.note('state', client.readable, client.writable, client.readyState);
      client.end('x');
      await closed(client.resume());
    }
  },
};
