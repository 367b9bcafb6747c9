/** How servers listen, what they take, and how they close. */
import net from 'node:net';
import { nodeMajor, type Scenarios } from '../scenario';
import { SERVER_EVENTS, closed, next, turn } from '../stage';

const hasBlockList = nodeMajor >= 24 || nodeMajor === 22;

function connectionsOf(server: net.Server): Promise<unknown> {
  return new Promise((resolve) => {
    server.getConnections((error, count) => resolve(error ?? count));
  });
}

export const servers: Scenarios = {
  'listening, closing and listening again': async (stage) => {
    const server = stage.createServer();
    const lane = stage.lane('server');
    lane.watch(server, ...SERVER_EVENTS);
    lane.note('new', server.listening, server.address());
    await stage.listen(server);
    lane.note('listens', server.listening, server.address());
    lane.try('again', () => server.listen(0));
    lane.note('close', server.close((error) => lane.note('callback', error)) === server);
    lane.note('closing', server.listening, server.address());
    await next(server, 'close');
    server.close((error) => lane.note('closed again', error));
    await turn();
    const port = await stage.listen(server);
    const client = stage.connect(port);
    await Promise.all([next(client, 'connect'), next(server, 'connection')]);
    client.destroy();
  },

  'a port is free again at once': async (stage) => {
    const first = stage.createServer();
    const port = await stage.listen(first);
    const before = stage.connect(port);
    await Promise.all([next(before, 'connect'), next(first, 'connection')]);
    first.close();
    const second = stage.createServer();
    stage.lane('server').note('same', (await stage.listen(second, { port })) === port);
    const client = stage.connect(port);
    await Promise.all([next(client, 'connect'), next(second, 'connection')]);
    stage.lane('client').note('connected', client.readyState);
  },

  'a port is free again whenever a server has closed': async (stage) => {
    const server = stage.createServer();
    const port = await stage.listen(server);
    for (let count = 0; count < 12; count++) {
      server.close();
      await closed(server);
      await stage.listen(server, { port });
    }
    const client = stage.connect(port);
    await Promise.all([next(client, 'connect'), next(server, 'connection')]);
    stage.lane('client').note('connected', client.readyState);
  },

  'close waits for connections, and takes no new ones': async (stage) => {
    const { client, accepted, server, port } = await stage.pair();
    const lane = stage.lane('server');
    lane.watch(server, ...SERVER_EVENTS);
    server.close((error) => lane.note('callback of close', error));
    lane.note('closing', server.listening, await connectionsOf(server));
    const late = stage.connect(port);
    stage.lane('late').watch(late, 'connect', 'error', 'close');
    await closed(late);
    accepted.write('still served');
    await next(client, 'data');
    lane.note('before the end', await connectionsOf(server));
    client.end();
    accepted.resume().end();
    await next(server, 'close');
    lane.note('closed', await connectionsOf(server));
  },

  'the number of connections': async (stage) => {
    const server = stage.createServer();
    const port = await stage.listen(server);
    const lane = stage.lane('server');
    lane.note('none', await connectionsOf(server));
    const clients: net.Socket[] = [];
    for (let count = 0; count < 3; count++) {
      const accepting = next(server, 'connection');
      clients.push(stage.connect(port));
      await accepting;
      lane.note('count', await connectionsOf(server));
    }
    server.on('connection', () => undefined);
    for (const client of clients) client.destroy();
    lane.note('returns', server.getConnections(() => undefined) === server);
  },

  'maxConnections drops what is too much': async (stage) => {
    const server = stage.createServer();
    server.maxConnections = 1;
    const port = await stage.listen(server);
    const lane = stage.lane('server');
    const accepting = next(server, 'connection');
    const first = stage.connect(port);
    await Promise.all([accepting, next(first, 'connect')]);
    lane.watch(server, 'connection');
    const dropping = next(server, 'drop');
    const second = stage.connect(port);
    second.on('error', () => undefined);
    const [dropped] = (await dropping) as [Record<string, unknown>];
    const { localAddress, localPort, localFamily, remoteAddress, remoteFamily } = dropped;
    lane.note('drop', { localAddress, localPort, localFamily, remoteAddress, remoteFamily });
    lane.note('its port', typeof dropped['remotePort'], Object.keys(dropped).sort());
    await closed(second.resume());
    stage.lane('second').note('closed', second.bytesRead, second.destroyed);
    lane.note('count', await connectionsOf(server));
    first.destroy();
    await closed(first);
    while ((await connectionsOf(server)) !== 0) await turn();
    const again = next(server, 'connection');
    stage.connect(port);
    await again;
  },

  'dropMaxConnection is only for clusters': {
    known: nodeMajor >= 22,
    play: async (stage) => {
      const server = stage.createServer();
      server.maxConnections = 0;
      Reflect.set(server, 'dropMaxConnection', true);
      const port = await stage.listen(server);
      const dropping = next(server, 'drop');
      const client = stage.connect(port);
      client.on('error', () => undefined);
      await dropping;
      await closed(client.resume());
      stage.lane('server').note('count', await connectionsOf(server));
    },
  },

  'blocked addresses are closed without a word': {
    known: hasBlockList,
    play: async (stage) => {
      const blockList = new net.BlockList();
      blockList.addAddress(stage.address);
      const server = stage.createServer({ blockList });
      stage.lane('server').watch(server, ...SERVER_EVENTS);
      const port = await stage.listen(server);
      const client = stage.connect(port);
      client.on('error', () => undefined);
      await closed(client.resume());
      stage.lane('client').note('bytes', client.bytesRead);
    },
  },

  'a small backlog and an address of its own': async (stage) => {
    for (const options of [{ backlog: 1 }, { exclusive: true }, { ipv6Only: false }]) {
      const server = stage.createServer();
      const port = await stage.listen(server, options);
      const client = stage.connect(port);
      await Promise.all([next(client, 'connect'), next(server, 'connection')]);
      stage.lane('client').note('connected', options, client.readyState);
      client.destroy();
    }
  },

  'the forms of listen': async (stage) => {
    const lane = stage.lane('server');
    const forms: unknown[][] = [
      [0, stage.address],
      [0, stage.address, 5],
      ['0', stage.address],
      [{ port: '0', host: stage.address, backlog: '7' }],
      [{ port: 0, host: stage.address, exclusive: true }, 3],
    ];
    for (const form of forms) {
      const server = stage.createServer();
      const listening = new Promise<void>((resolve) => {
        (server.listen as (...all: unknown[]) => unknown).call(server, ...form, resolve);
      });
      await listening;
      const { address, family } = server.address() as net.AddressInfo;
      lane.note('listens', address, family, server.listening);
    }
  },

  'two servers share a port with reusePort': {
    known: nodeMajor >= 24,
    onAny: true,
    play: async (stage) => {
      const first = stage.createServer();
      const port = await stage.listen(first, { reusePort: true });
      const second = stage.createServer();
      stage.lane('second').watch(second, 'listening', 'error');
      second.listen({ port, host: stage.address, reusePort: true });
      await Promise.race([next(second, 'listening'), next(second, 'error')]);
      const client = stage.connect(port);
      const accepting = Promise.race([next(first, 'connection'), next(second, 'connection')]);
      await Promise.all([next(client, 'connect'), accepting]);
      stage.lane('client').note('connected', client.readyState);
    },
  },

  'ipv6Only keeps the other family out': {
    onlyHere: true,
    play: async (stage) => {
      const server = stage.createServer();
      const port = await stage.listen(server, { host: '::', ipv6Only: true });
      const other = stage.connect(port, { host: '127.0.0.1' });
      const [error] = (await next(other, 'error')) as [NodeJS.ErrnoException];
      stage.lane('other').note('error', error);
      const client = stage.connect(port, { host: '::1' });
      await Promise.all([next(client, 'connect'), next(server, 'connection')]);
      stage.lane('client').note('connected', client.remoteAddress);
    },
  },

  'a server closed before it listens': async (stage) => {
    const server = stage.createServer();
    const lane = stage.lane('server');
    lane.watch(server, ...SERVER_EVENTS);
    server.close((error) => lane.note('not running', error));
    await next(server, 'close');
    server.listen(0, stage.address);
    lane.note('listens', server.listening);
    server.close((error) => lane.note('callback', error));
    await next(server, 'close');
    await turn();
  },

  'what a listener for connections throws is uncaught': async (stage) => {
    const server = stage.createServer();
    const port = await stage.listen(server);
    const thrown = new Promise<void>((resolve) => {
      server.once('connection', () => {
        setImmediate(resolve);
        throw new Error('from connection');
      });
    });
    const first = stage.connect(port);
    await Promise.all([next(first, 'connect'), thrown]);
    const accepting = next(server, 'connection');
    const second = stage.connect(port);
    await Promise.all([next(second, 'connect'), accepting]);
    stage.lane('second').note('connected', second.readyState, await connectionsOf(server));
  },
};
