/** What cannot leave its process, or be had from outside: handles, descriptors, other threads. */
import { fork } from 'node:child_process';
import net from 'node:net';
import path from 'node:path';
import { MessageChannel } from 'node:worker_threads';
import { nodeMajor, type Scenarios } from '../scenario';
import { closed, next, turn } from '../stage';

interface HandleInside {
  fd: number;
  hasRef(): boolean;
  constructor: { name: string };
}

function handleOf(socket: net.Socket): HandleInside | null {
  return Reflect.get(socket, '_handle') as HandleInside | null;
}

export const handles: Scenarios = {
  'the handle of a socket': async (stage) => {
    const { client, accepted } = await stage.pair();
    for (const [name, socket] of Object.entries({ client, accepted })) {
      const lane = stage.lane(name);
      lane.note('has a descriptor', (handleOf(socket)?.fd ?? -1) >= 0);
      lane.note('has ref', handleOf(socket)?.hasRef());
      socket.unref();
      lane.note('unref', handleOf(socket)?.hasRef());
      socket.ref();
      lane.note('ref', handleOf(socket)?.hasRef());
    }
    client.destroy();
    stage.lane('client').note('destroyed', handleOf(client));
    await closed(client, accepted.resume());
  },

  // On Node 20 an error comes later, when nobody can catch it.
  'a socket sent to a child process': {
    known: nodeMajor >= 22,
    play: async (stage) => {
      const { client, accepted, server } = await stage.pair();
      const lane = stage.lane('accepted');
      const child = fork(path.join(__dirname, '..', 'child.js'), { execArgv: [], stdio: 'ignore' });
      const answered = new Promise((resolve) => child.once('message', resolve));
      try {
        child.send('take this', accepted);
        lane.note('sent', await answered);
      } catch (error) {
        lane.note('throws', error);
        accepted.write('still here');
        await next(client, 'data');
        const count = await new Promise((resolve) => {
          server.getConnections((_error, connections) => resolve(connections));
        });
        lane.note('is still there', accepted.destroyed, count);
      }
      child.kill();
      await new Promise((resolve) => child.once('exit', resolve));
      client.destroy();
    },
  },

  'a socket sent to another thread': async (stage) => {
    const { client } = await stage.pair();
    const { port1, port2 } = new MessageChannel();
    stage.lane('client').try('clone', () => structuredClone(client));
    stage.lane('client').note('still there', client.destroyed, client.readyState);
    port1.close();
    port2.close();
    await turn();
  },

  'a server that listens on the handle of another': {
    onTcp: true,
    play: async (stage) => {
      const first = stage.createServer();
      const port = await stage.listen(first);
      const second = stage.createServer();
      second.listen({ _handle: Reflect.get(first, '_handle') as object } as never);
      await next(second, 'listening');
      const { port: other } = second.address() as net.AddressInfo;
      stage.lane('second').note('same port', other === port);
      Reflect.set(second, '_handle', null);
    },
  },

  'Unix-domain sockets are what they were': {
    onTcp: true,
    play: async (stage) => {
      const server = stage.createServer();
      const name = `\0rdma-net-conformance-${process.pid}`;
      server.on('connection', (socket) => socket.pipe(socket));
      server.listen(name);
      await next(server, 'listening');
      stage.lane('server').note('address', typeof server.address());
      const client = stage.track(net.connect(name));
      stage.lane('client').watch(client, 'connect', 'data', 'end', 'close').end('hello');
      await closed(client);
      stage.lane('client').note('address', client.remoteAddress, client.address());
    },
  },
};
