/** What a socket tells of itself, from before it connects until after it is closed. */
import net from 'node:net';
import type { Scenarios } from '../scenario';
import { closed, next, type Stage } from '../stage';
import type { Lane } from '../transcript';

const STATE = [
  ...['readyState', 'pending', 'connecting', 'destroyed', 'closed', 'errored', 'timeout'],
  ...['bytesRead', 'bytesWritten', 'writable', 'readable', 'writableEnded', 'writableFinished'],
  ...['readableEnded', 'readableFlowing', 'writableLength', 'readableLength', 'writableNeedDrain'],
  ...['allowHalfOpen', 'readableHighWaterMark', 'writableHighWaterMark', 'writableCorked'],
  ...['autoSelectFamilyAttemptedAddresses', 'bufferSize', 'writableAborted', 'readableDidRead'],
  ...['writableObjectMode', 'readableEncoding', 'isPaused'],
];
const ENDPOINTS = [
  ...['localAddress', 'localPort', 'localFamily'],
  ...['remoteAddress', 'remotePort', 'remoteFamily'],
];

function valueOf(socket: net.Socket, name: string): unknown {
  const value: unknown = Reflect.get(socket, name);
  return typeof value === 'function' ? Reflect.apply(value, socket, []) : value;
}

function noteAll(lane: Lane, when: string, socket: net.Socket, names = STATE): void {
  const values = names.map((name) => [name, valueOf(socket, name)]);
  lane.note(when, Object.fromEntries(values));
}

/** The port of a client is not known before it is connected. */
function noteEndpoints(stage: Stage, party: string, when: string, socket: net.Socket): void {
  const lane = stage.lane(party);
  noteAll(lane, when, socket, ENDPOINTS);
  lane.note('address()', socket.address());
}

export const properties: Scenarios = {
  'the state of both sides, from before connecting until after closing': async (stage) => {
    const server = stage.createServer({ allowHalfOpen: true });
    const port = await stage.listen(server);
    const accepting = next(server, 'connection');
    const lane = stage.lane('client');
    const client = stage.track(new net.Socket());
    noteAll(lane, 'new', client);
    client.connect(port, stage.address);
    noteAll(lane, 'connecting', client);
    client.on('connect', () => noteAll(lane, 'on connect', client));
    client.on('ready', () => noteAll(lane, 'on ready', client));
    const [accepted] = (await accepting) as [net.Socket];
    if (client.connecting) await next(client, 'connect');
    const other = stage.lane('accepted');
    noteAll(other, 'accepted', accepted);
    accepted.write('12345');
    await next(client, 'readable');
    noteAll(lane, 'has something to read', client);
    lane.data(client.read() as Buffer, 'read');
    client.end('123');
    noteAll(lane, 'after end', client);
    accepted.resume();
    await next(accepted, 'end');
    noteAll(other, 'on end', accepted);
    accepted.end();
    client.resume();
    await closed(client, accepted);
    noteAll(lane, 'closed', client);
    noteAll(other, 'closed', accepted);
  },

  'the addresses of both sides, and after closing': async (stage) => {
    const fresh = stage.track(new net.Socket());
    noteEndpoints(stage, 'client', 'new', fresh);
    const { client, accepted, server, port } = await stage.pair();
    noteEndpoints(stage, 'client', 'connected', client);
    noteEndpoints(stage, 'accepted', 'connected', accepted);
    stage.lane('both').note('agree', client.localPort === accepted.remotePort);
    stage.lane('both').note('agree', accepted.localPort === port, client.remotePort === port);
    stage.lane('server').note('address()', server.address());
    client.destroy();
    noteEndpoints(stage, 'client', 'destroyed', client);
    await closed(client, accepted);
    noteEndpoints(stage, 'client', 'closed', client);
    noteEndpoints(stage, 'accepted', 'closed', accepted);
    server.close();
    await closed(server);
    stage.lane('server').note('address() when closed', server.address());
  },

  'the addresses stay known after the end of one who asked before': async (stage) => {
    const { client, accepted } = await stage.pair();
    const asked = [client.remoteAddress, client.localAddress, accepted.remotePort];
    stage.lane('both').note('asked', ...asked);
    accepted.resume();
    client.resume().end();
    await closed(client, accepted);
    noteEndpoints(stage, 'client', 'closed', client);
    noteEndpoints(stage, 'accepted', 'closed', accepted);
  },

  'bytes are counted while they wait, in every encoding': async (stage) => {
    const server = stage.createServer();
    const port = await stage.listen(server);
    const lane = stage.lane('client');
    const accepting = next(server, 'connection');
    const client = stage.track(new net.Socket());
    client.connect(port, stage.address);
    client.write('grüße');
    client.write('68656c6c6f', 'hex');
    client.write(Buffer.from('buffer'));
    client.write('ümlaut', 'latin1');
    client.write('ucs', 'utf16le');
    lane.note('connecting', client.bytesWritten, client.bytesRead, client.writableLength);
    await next(client, 'connect');
    lane.note('connected', client.bytesWritten, client.writableLength);
    client.cork();
    client.write('corked ü');
    client.write(Buffer.from('corked'));
    lane.note('corked', client.bytesWritten, client.writableLength, client.writableCorked);
    client.uncork();
    lane.note('uncorked', client.bytesWritten, client.writableLength, client.writableCorked);
    const [accepted] = (await accepting) as [net.Socket];
    accepted.on('data', (data) => stage.lane('accepted').data(data));
    client.resume().end('end');
    await closed(client, accepted);
    lane.note('closed', client.bytesWritten, client.bytesRead);
    stage.lane('accepted').note('closed', accepted.bytesRead, accepted.bytesWritten);
  },

  'bytes are counted that nobody read before the socket was destroyed': async (stage) => {
    const { client, accepted } = await stage.pair();
    client.write('x'.repeat(1000));
    await next(accepted, 'readable');
    stage.lane('accepted').note('readable', accepted.bytesRead, accepted.readableLength);
    accepted.destroy();
    stage.lane('accepted').note('destroyed', accepted.bytesRead, accepted.bytesWritten);
    client.resume().on('error', () => undefined);
    await closed(client, accepted);
    stage.lane('accepted').note('closed', accepted.bytesRead, accepted.bytesWritten);
    stage.lane('client').note('closed', client.bytesWritten);
  },

  'what kind of object a socket is': async (stage) => {
    const { client, accepted, server } = await stage.pair();
    for (const socket of [client, accepted]) {
      stage.lane('both').note('socket', socket instanceof net.Socket, socket.constructor.name);
      stage.lane('both').note('keys', Object.keys(socket).sort());
    }
    stage.lane('both').note('server', Reflect.get(accepted, 'server') === server);
    stage.lane('both').note('keys', Object.keys(server).sort());
  },
};
