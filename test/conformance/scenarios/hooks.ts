/** async_hooks, diagnostics_channel and perf_hooks: what watches sockets from outside. */
import { createHook, executionAsyncId, triggerAsyncId } from 'node:async_hooks';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import net from 'node:net';
import { PerformanceObserver } from 'node:perf_hooks';
import type { Scenarios } from '../scenario';
import { closed, next, turn } from '../stage';

/** What the types of resources of a socket are called does not matter; Node names others too. */
const SOCKET_TYPES = ['TCPWRAP', 'TCPSERVERWRAP', 'JSSTREAM'];

const CHANNELS = [
  ...['net.client.socket', 'net.server.socket', 'tracing:net.server.listen:asyncStart'],
  ...['tracing:net.server.listen:asyncEnd', 'tracing:net.server.listen:error'],
];

export const hooks: Scenarios = {
  'what a channel tells of clients and servers': async (stage) => {
    const lane = stage.lane('channels');
    const listeners = CHANNELS.map((name) => {
      const listener = (message: unknown): void => {
        const { socket, server, error } = message as Record<string, unknown>;
        const state = socket instanceof net.Socket ? socket.readyState : undefined;
        const listens = server instanceof net.Server ? server.listening : undefined;
        stage
          .lane(name)
          .note('message', Object.keys(message as object).sort(), state, listens, error);
      };
      subscribe(name, listener);
      return { name, listener };
    });
    const { client, accepted, server, port } = await stage.pair();
    const other = stage.createServer();
    other.listen(port, stage.address);
    await next(other, 'error');
    client.end();
    await closed(client, accepted.resume());
    lane.note('over', server.listening);
    for (const { name, listener } of listeners) unsubscribe(name, listener);
  },

  'listeners run in a resource that was announced': async (stage) => {
    const types = new Map<number, string>();
    const running: number[] = [];
    const lane = stage.lane('hooks');
    const hook = createHook({
      init: (id, type) => void types.set(id, type),
      before: (id) => void running.push(id),
      after: (id) => {
        if (running.pop() !== id) lane.note('before and after do not match');
      },
    }).enable();
    const { client, accepted } = await stage.pair();
    const seen = (name: string, what: string): void => {
      const type = types.get(executionAsyncId());
      const kind = SOCKET_TYPES.includes(type ?? '')
        ? 'a socket'
        : type?.replace(/^RDMA.*/, 'a socket');
      stage.lane(name).note(what, kind, triggerAsyncId() > 0);
    };
    accepted.on('data', () => seen('accepted', 'data'));
    client.on('data', () => seen('client', 'data'));
    client.on('close', () => seen('client', 'close'));
    accepted.on('close', () => seen('accepted', 'close'));
    accepted.write('x');
    await next(client, 'data');
    client.end('y');
    await closed(client, accepted);
    hook.disable();
  },

  'listeners run in the resource of the handle': async (stage) => {
    const hook = createHook({ init: () => undefined }).enable();
    const { client, accepted } = await stage.pair();
    for (const [name, socket] of Object.entries({ client, accepted })) {
      const { _handle: handle } = socket as unknown as { _handle: { getAsyncId(): number } };
      const id = handle.getAsyncId();
      socket.on('data', () => stage.lane(name).note('data', executionAsyncId() === id));
      socket.on('close', () => stage.lane(name).note('close', executionAsyncId() === id));
    }
    accepted.write('x');
    await next(client, 'data');
    client.end('y');
    await closed(client, accepted);
    hook.disable();
  },

  'each resource that ran is destroyed': async (stage) => {
    const open = new Map<number, string>();
    const hook = createHook({
      init: (id, type) => {
        if (SOCKET_TYPES.includes(type)) open.set(id, type);
      },
      destroy: (id) => void open.delete(id),
    }).enable();
    const { client, accepted, server } = await stage.pair();
    client.resume().end();
    await closed(client, accepted.resume());
    server.close();
    await closed(server);
    for (let count = 0; count < 5 && open.size > 0; count++) {
      globalThis.gc?.();
      await turn();
      await turn();
    }
    hook.disable();
    stage.lane('hooks').note('left', [...open.values()]);
  },

  'a performance entry for each connection': async (stage) => {
    const lane = stage.lane('client');
    const { client, entry } = await new Promise<{ client: net.Socket; entry: unknown }>(
      (resolve) => {
        void (async () => {
          const connecting: { client?: net.Socket } = {};
          const observer = new PerformanceObserver((list) => {
            observer.disconnect();
            const [first] = list.getEntriesByType('net');
            const { client } = connecting;
            if (client !== undefined) resolve({ client, entry: first });
          });
          observer.observe({ entryTypes: ['net'] });
          const server = stage.createServer();
          connecting.client = stage.connect(await stage.listen(server));
        })();
      },
    );
    const { name, detail } = entry as { name: string; detail: unknown };
    lane.note('entry', name, detail, client.readyState);
  },
};
