/** What cannot be done, and the errors that say so. */
import net from 'node:net';
import type { Scenarios } from '../scenario';
import { SERVER_EVENTS, SOCKET_EVENTS, closed, next, turn } from '../stage';

export const errors: Scenarios = {
  'nobody listens': async (stage) => {
    const server = stage.createServer();
    const port = await stage.listen(server);
    server.close();
    await closed(server);
    const client = stage.connect(port);
    const lane = stage.lane('client');
    lane.watch(client, ...SOCKET_EVENTS);
    client.write('never', (error) => lane.note('callback of write', error));
    await closed(client);
    lane.note('state', client.errored, client.readyState, client.bytesWritten, client.pending);
    lane.note('addresses', client.autoSelectFamilyAttemptedAddresses);
  },

  'nobody listens, and nobody listens for the error': async (stage) => {
    const server = stage.createServer();
    const port = await stage.listen(server);
    server.close();
    await closed(server);
    const client = stage.connect(port);
    stage.lane('client').watch(client, 'close');
    await closed(client);
  },

  'an address that is in use': async (stage) => {
    const port = await stage.listen(stage.createServer());
    const server = stage.createServer();
    const lane = stage.lane('server');
    lane.watch(server, ...SERVER_EVENTS);
    server.listen(port, stage.address, () => lane.note('callback of listen'));
    await next(server, 'error');
    lane.note('state', server.listening, server.address());
    lane.note('listens elsewhere', (await stage.listen(server)) !== port, server.listening);
  },

  'an address that no host has': async (stage) => {
    const server = stage.createServer();
    stage.lane('server').watch(server, ...SERVER_EVENTS);
    server.listen(0, '192.0.2.1');
    await next(server, 'error');
  },

  'writing to a socket that is not connected and was destroyed': async (stage) => {
    const { client, accepted } = await stage.pair();
    const lane = stage.lane('client');
    lane.watch(client, ...SOCKET_EVENTS);
    client.destroy();
    lane.note(
      'write',
      client.write('too late', (error) => lane.note('callback', error)),
    );
    await closed(client, accepted.resume());
    lane.note(
      'write',
      client.write('later', (error) => lane.note('callback', error)),
    );
    client.end('still later', () => lane.note('callback of end'));
    await turn();
  },

  'writing to a peer that is gone ends in an error': async (stage) => {
    const { client, accepted } = await stage.pair({ allowHalfOpen: true });
    const lane = stage.lane('client');
    client.on('close', (hadError) => lane.note('close', hadError));
    accepted.destroy();
    await next(client.resume(), 'end');
    await closed(accepted);
    // The first write is taken, and answered by a reset: which call finds that is a matter of time.
    let code: string | undefined;
    client.on('error', (error: NodeJS.ErrnoException) => (code = error.code));
    while (!client.destroyed) {
      client.write('is anybody there?');
      await turn();
    }
    await closed(client);
    lane.note('code', code === 'EPIPE' || code === 'ECONNRESET');
  },

  'what is no chunk cannot be written': async (stage) => {
    const { client } = await stage.pair();
    const lane = stage.lane('client');
    lane.watch(client, 'error', 'close');
    for (const wrong of [undefined, null, 1, true, {}, [], () => undefined]) {
      lane.try(`write ${typeof wrong}`, () => client.write(wrong as never));
    }
    lane.try('encoding', () => client.write('text', 'no encoding' as BufferEncoding));
    lane.note('goes on', client.write('text'), client.destroyed);
  },

  'what is no port or host cannot be connected to': (stage) => {
    const lane = stage.lane('client');
    const attempts: unknown[][] = [
      ...[[], [{}], [-1], [65_536], ['no port'], [{ port: 'x' }], [{ port: 1, host: {} }]],
      ...[[{ port: 80, localAddress: 'nowhere' }], [{ port: 80, localPort: 'x' }]],
      ...[[{ port: 80, lookup: 'no function' }], [{ port: 80, family: 'IPv5' }], [NaN], [1.5]],
      [{ port: 80, signal: 'none' }],
    ];
    for (const values of attempts) {
      lane.try(`connect ${JSON.stringify(values)}`, () => {
        const socket = stage.track(new net.Socket());
        socket.on('error', (error) => lane.note('error', error));
        return (socket.connect as (...all: unknown[]) => unknown).call(socket, ...values);
      });
    }
  },

  'what is no port or host cannot be listened on': (stage) => {
    const lane = stage.lane('server');
    const attempts: unknown[][] = [
      ...[[-1], [65_536], ['no/such/folder/at/all'], [{}], [{ port: 'x' }], [{ port: -1 }]],
      ...[[{ fd: -1 }], [true], [{ port: 0, signal: 1 }], [{ port: NaN }]],
    ];
    for (const values of attempts) {
      lane.try(`listen ${JSON.stringify(values)}`, () => {
        const server = stage.createServer();
        server.on('error', (error) => lane.note('error', error));
        const listening = (server.listen as (...all: unknown[]) => net.Server).call(
          server,
          ...values,
        );
        return listening.listening;
      });
    }
    return turn();
  },

  'options that no socket has': (stage) => {
    const lane = stage.lane('client');
    const wrong = [
      ...[{ objectMode: true }, { readableObjectMode: true }, { writableObjectMode: true }],
      ...[{ fd: -1 }, { fd: 'x' }, { keepAliveInitialDelay: 'x' }],
      ...[{ signal: 1 }, { readableHighWaterMark: -1 }, { highWaterMark: 'x' }],
    ];
    for (const options of wrong) {
      lane.try(JSON.stringify(options), () => new net.Socket(options as never).destroyed);
    }
    for (const options of [{ highWaterMark: -1 }, { keepAliveInitialDelay: 'x' }, 'text', 1]) {
      stage.lane('server').try(JSON.stringify(options), () => {
        return net.createServer(options as never).listening;
      });
    }
  },
};
