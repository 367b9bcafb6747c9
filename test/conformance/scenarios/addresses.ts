/** From which address to which: names, families, local addresses, several addresses. */
import net from 'node:net';
import { nodeMajor, type Scenarios } from '../scenario';
import { SOCKET_EVENTS, closed, next, type Stage } from '../stage';

interface Found {
  address: string;
  family: number;
}
type LookupCallback = (error: Error | null, address?: string | Found[], family?: number) => void;

/** A resolver that knows these addresses, and puts down what it was asked. */
function lookupOf(stage: Stage, ...addresses: string[]): object {
  const found = addresses.map((address) => ({ address, family: net.isIP(address) }));
  return {
    host: 'a-name.test',
    lookup: (name: string, options: { all?: boolean }, callback: LookupCallback) => {
      stage.lane('lookup').note('asked', name, options);
      if (options.all) callback(null, found);
      else callback(null, found[0]?.address, found[0]?.family);
    },
  };
}

/** Client and server until both are closed, with all events of the client. */
async function converse(stage: Stage, port: number, options: object): Promise<net.Socket> {
  const client = stage.connect(port, options as Record<string, unknown>);
  const lane = stage.lane('client');
  lane.watch(client, ...SOCKET_EVENTS);
  client.resume().once('connect', () => client.end('hello'));
  await closed(client);
  lane.note('attempted', client.autoSelectFamilyAttemptedAddresses);
  return client;
}

async function echoServer(stage: Stage, options = {}): Promise<number> {
  const server = stage.createServer();
  server.on('connection', (socket) => {
    stage.lane('accepted').note('connection', socket.remoteAddress, socket.localAddress);
    socket.pipe(socket);
  });
  return stage.listen(server, options);
}

const hasBlockList = nodeMajor >= 24 || nodeMajor === 22;
const hasBoundSocket = 'BoundSocket' in net;

export const addresses: Scenarios = {
  'a name is looked up': async (stage) => {
    const port = await echoServer(stage);
    await converse(stage, port, { ...lookupOf(stage, stage.address), autoSelectFamily: false });
  },

  'a name is looked up for a family': async (stage) => {
    const port = await echoServer(stage);
    const family = net.isIP(stage.address);
    await converse(stage, port, { ...lookupOf(stage, stage.address), family });
  },

  'a name with several addresses, of which the first does': async (stage) => {
    const port = await echoServer(stage);
    const found = lookupOf(stage, stage.address, '127.0.0.1');
    await converse(stage, port, { ...found, autoSelectFamily: true });
  },

  'a name with several addresses, of which the last does': {
    onlyHere: true,
    play: async (stage) => {
      const port = await echoServer(stage);
      const found = lookupOf(stage, '127.0.0.97', '127.0.0.98', stage.address);
      await converse(stage, port, { ...found, autoSelectFamily: true });
    },
  },

  'a name with addresses of both families': {
    onlyHere: true,
    play: async (stage) => {
      const port = await echoServer(stage);
      const found = lookupOf(stage, '::1', stage.address);
      await converse(stage, port, { ...found, autoSelectFamily: true });
    },
  },

  'a name of which no address does': {
    onlyHere: true,
    play: async (stage) => {
      const server = stage.createServer();
      const port = await stage.listen(server);
      server.close();
      await closed(server);
      const found = lookupOf(stage, '127.0.0.97', stage.address);
      await converse(stage, port, { ...found, autoSelectFamily: true });
    },
  },

  'a lookup that fails, finds nothing, or answers nonsense': async (stage) => {
    const answers: [string, ...Parameters<LookupCallback>][] = [
      ['error', Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })],
      ['no address', null, 'no address', 4],
      ['no family', null, stage.address, 5],
      ['nothing', null],
    ];
    for (const [name, ...answer] of answers) {
      const client = stage.connect(80, {
        host: 'a-name.test',
        autoSelectFamily: false,
        lookup: (_name: string, _options: unknown, callback: LookupCallback) => {
          process.nextTick(callback, ...answer);
        },
      });
      stage.lane(name).watch(client, 'lookup', 'error', 'close');
      await closed(client);
    }
  },

  localhost: {
    onlyHere: true,
    play: async (stage) => {
      const port = await echoServer(stage);
      const client = stage.connect(port, { host: 'localhost' });
      stage.lane('client').watch(client, 'connectionAttempt', 'connect');
      await next(client, 'connect');
      stage.lane('client').note('address', client.remoteAddress, client.remoteFamily);
      client.resume().end();
      await closed(client);
    },
  },

  'an address that holds another': async (stage) => {
    const port = await echoServer(stage, { host: '::' });
    const client = stage.connect(port, { host: `::ffff:${stage.address}` });
    stage.lane('client').watch(client, 'connectionAttempt', 'connect');
    await next(client, 'connect');
    const { remoteAddress, remoteFamily, localAddress, localFamily } = client;
    stage.lane('client').note('address', remoteAddress, remoteFamily, localAddress, localFamily);
    client.resume().end();
    await closed(client);
  },

  'all addresses of one family, and of both': async (stage) => {
    for (const host of [stage.place.wildcard, '::', undefined]) {
      const port = await echoServer(stage, { host });
      const client = stage.connect(port);
      await next(client, 'connect');
      const { remoteAddress, remoteFamily, localAddress, localFamily } = client;
      stage.lane('client').note('address', remoteAddress, remoteFamily, localAddress, localFamily);
      client.resume().end();
      await closed(client);
    }
  },

  'a local address and port of the own choice': async (stage) => {
    const port = await echoServer(stage);
    const first = stage.connect(port, { localAddress: stage.address });
    await next(first, 'connect');
    const { localPort } = first;
    stage.lane('client').note('address', first.localAddress, first.localFamily);
    first.resume().end();
    await closed(first);
    const free = stage.createServer();
    const freePort = await stage.listen(free);
    free.close();
    await closed(free);
    const client = stage.connect(port, { localAddress: stage.address, localPort: freePort });
    await next(client, 'connect');
    stage.lane('client').note('as chosen', client.localPort === freePort, localPort !== freePort);
    client.resume().end();
    await closed(client);
  },

  'a local address that this host does not have': async (stage) => {
    const port = await echoServer(stage);
    const client = stage.connect(port, { localAddress: '192.0.2.1' });
    stage.lane('client').watch(client, 'connectionAttempt', 'error', 'close');
    await closed(client);
  },

  'a local port that is in use': async (stage) => {
    const port = await echoServer(stage);
    const used = await stage.listen(stage.createServer());
    const client = stage.connect(port, { localAddress: stage.address, localPort: used });
    const [error] = (await next(client, 'error')) as [NodeJS.ErrnoException];
    stage.lane('client').note('error', error.code, error.syscall);
    await closed(client);
  },

  'a client with a list of blocked addresses': {
    known: hasBlockList,
    play: async (stage) => {
      const port = await echoServer(stage);
      const blockList = new net.BlockList();
      blockList.addAddress(stage.address);
      const client = stage.connect(port, { blockList });
      stage.lane('client').watch(client, 'connectionAttempt', 'connect', 'error', 'close');
      await closed(client);
      const named = stage.connect(port, { blockList, ...lookupOf(stage, stage.address) });
      stage.lane('named').watch(named, 'lookup', 'connectionAttempt', 'error', 'close');
      await closed(named);
    },
  },

  'a socket that was bound before': {
    known: hasBoundSocket,
    onTcp: true,
    play: async (stage) => {
      const port = await echoServer(stage);
      const { BoundSocket } = net as unknown as {
        BoundSocket: new (options: object) => { address(): net.AddressInfo };
      };
      const bound = new BoundSocket({ port: 0, host: stage.address });
      const { port: boundPort } = bound.address();
      const client = stage.track(new net.Socket({ handle: bound } as never));
      client.connect(port, stage.address);
      await next(client, 'connect');
      stage.lane('client').note('port', client.localPort === boundPort);
      stage.lane('client').watch(client.resume(), 'data', 'end', 'close').end('hello');
      await closed(client);
    },
  },
};
