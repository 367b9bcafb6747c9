/** AsyncLocalStorage: the context in which each callback and listener is called. */
import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks';
import net from 'node:net';
import type { Scenarios } from '../scenario';
import { closed, next, turn } from '../stage';

const storage = new AsyncLocalStorage<string>();

export const context: Scenarios = {
  'listeners of a client are called in the context of connect': async (stage) => {
    const server = stage.createServer();
    server.on('connection', (socket) => {
      stage.lane('accepted').note('connection', storage.getStore());
      socket.on('data', (data) => {
        stage.lane('accepted').note('data', storage.getStore());
        socket.end(data);
      });
      socket.on('end', () => stage.lane('accepted').note('end', storage.getStore()));
      socket.on('close', () => stage.lane('accepted').note('close', storage.getStore()));
    });
    const lane = stage.lane('client');
    const port = await storage.run('listening', () => stage.listen(server));
    const client = storage.run('connecting', () => stage.connect(port));
    for (const event of [
      'connectionAttempt',
      'connect',
      'ready',
      'data',
      'end',
      'finish',
      'close',
    ]) {
      client.on(event, () => lane.note(event, storage.getStore()));
    }
    storage.run('writing', () => {
      client.write('hello', () => lane.note('written', storage.getStore()));
    });
    storage.run('ending', () => {
      client.end(() => lane.note('ended', storage.getStore()));
    });
    await closed(client);
    await stage.allClosed();
  },

  'writes when connected call back in their own context': async (stage) => {
    const { client, accepted } = await storage.run('pair', () => stage.pair());
    const lane = stage.lane('client');
    for (const size of [1, 16 * 1024 * 1024]) {
      await storage.run(`writing ${size}`, async () => {
        await new Promise<void>((resolve) => {
          client.write(Buffer.alloc(size), () => {
            lane.note('written', storage.getStore());
            resolve();
          });
          accepted.resume();
        });
        lane.note('awaited', storage.getStore());
      });
    }
    storage.run('timing', () => {
      client.setTimeout(10, () => lane.note('callback of timeout', storage.getStore()));
    });
    await next(client, 'timeout');
    storage.run('destroying', () => client.destroy());
    client.on('close', () => lane.note('close', storage.getStore()));
    await closed(client, accepted);
  },

  'what goes on in a listener keeps its context': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('client');
    client.on('data', (data: Buffer) => {
      storage.enterWith(`got ${data.toString()}`);
      queueMicrotask(() => lane.note('microtask', storage.getStore()));
      process.nextTick(() => lane.note('tick', storage.getStore()));
      setImmediate(() => lane.note('immediate', storage.getStore()));
    });
    accepted.write('one');
    await next(client, 'data');
    await turn();
    accepted.write('two');
    await next(client, 'data');
    await turn();
  },

  'two sockets do not mix their contexts': async (stage) => {
    const server = stage.createServer();
    server.on('connection', (socket) => socket.pipe(socket));
    const port = await stage.listen(server);
    const clients = ['first', 'second'].map((name) =>
      storage.run(name, () => {
        const client = stage.connect(port);
        for (const event of ['connect', 'data', 'end', 'close']) {
          client.on(event, () => stage.lane(name).note(event, storage.getStore()));
        }
        return client;
      }),
    );
    await Promise.all(clients.map((client) => next(client, 'connect')));
    for (const client of clients) client.end('hello');
    await closed(...clients);
  },

  'a failed connection keeps the context': async (stage) => {
    const server = stage.createServer();
    const port = await stage.listen(server);
    server.close();
    await closed(server);
    const lane = stage.lane('client');
    const client = storage.run('connecting', () => stage.connect(port));
    client.on('error', () => lane.note('error', storage.getStore()));
    client.on('close', () => lane.note('close', storage.getStore()));
    await closed(client);
  },

  'listeners bound to a resource': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('client');
    storage.run('bound', () => {
      client.on(
        'data',
        AsyncResource.bind(() => lane.note('data', storage.getStore())),
      );
      client.on(
        'close',
        AsyncResource.bind(() => lane.note('close', storage.getStore())),
      );
    });
    accepted.end('x');
    await closed(client, accepted.resume());
  },

  'callbacks of a server': async (stage) => {
    const server = stage.createServer();
    const lane = stage.lane('server');
    server.on('listening', () => lane.note('listening', storage.getStore()));
    server.on('close', () => lane.note('close', storage.getStore()));
    const port = await storage.run('listening', () => stage.listen(server));
    const client = storage.run('client', () => net.connect(port, stage.address));
    stage.track(client);
    await next(server, 'connection');
    storage.run('counting', () => {
      server.getConnections(() => lane.note('getConnections', storage.getStore()));
    });
    await turn();
    client.destroy();
    await stage.allClosed();
    storage.run('closing', () => {
      server.close(() => lane.note('callback of close', storage.getStore()));
    });
    await closed(server);
  },
};
