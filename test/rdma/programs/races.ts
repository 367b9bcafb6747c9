/**
 * Connects when told, and says how each connection went. Its own sockets stay open until the end.
 *
 *     connect HOSTS PORT   HOSTS are addresses between commas, tried in this order
 *     race HOSTS PORT      the same without a head start; what TCP fails to do is waited for
 *     head-start MS        for the sockets that follow
 *     give-up HOST PORT N  N sockets, each destroyed some turns of the event loop later than the one
 *                          before it, counted from when it began to connect
 */
import { once } from 'node:events';
import net from 'node:net';
import { configure, info } from '../../../lib/index';
import { listen, say } from './said';

let headStartMs = Number(process.env.RDMA_NET_HEAD_START_MS ?? 50);
const open = new Set<net.Socket>();

function begin(hosts: string[], port: number): net.Socket {
  const lookup: net.LookupFunction = (_host, _options, callback) => {
    callback(
      null,
      hosts.map((address) => ({ address, family: net.isIP(address) })),
    );
  };
  const isOne = hosts.length === 1;
  const socket = net.connect({
    port,
    host: isOne ? (hosts[0] ?? '') : 'several.test',
    ...(isOne ? {} : { lookup, autoSelectFamily: true }),
  });
  open.add(socket);
  return socket;
}

async function sayHow(socket: net.Socket): Promise<void> {
  const startMs = performance.now();
  const errors: NodeJS.ErrnoException[] = [];
  socket.on('error', (error) => errors.push(error));
  await Promise.race([
    new Promise((resolve) => socket.once('connect', resolve)),
    new Promise((resolve) => socket.once('close', resolve)),
  ]);
  const { transport, reason } = info(socket);
  const ms = performance.now() - startMs;
  if (errors.length > 0) say('failed', { codes: errors.map(({ code }) => code), ms });
  else {
    const { remoteAddress } = socket;
    say('connected', {
      transport,
      reason: reason?.code,
      detail: reason?.detail,
      remoteAddress,
      ms,
    });
  }
}

function race(hosts: string[], port: number): Promise<void> {
  configure({ headStartMs: 0 });
  const socket = begin(hosts, port);
  // As soon as TCP has begun.
  socket.once('connectionAttempt', () => process.nextTick(configure, { headStartMs }));
  return sayHow(socket);
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

async function giveUp(host: string, port: number, count: number): Promise<void> {
  let connected = 0;
  for (let index = 0; index < count; index++) {
    const socket = begin([host], port);
    socket.on('connect', () => connected++);
    socket.on('error', () => undefined);
    // Ever longer, to get from one end to the other on slow machines and on fast ones.
    const turns = Math.floor(1.3 ** index);
    for (let n = 0; n < turns && socket.connecting; n++) await turn();
    socket.destroy();
    if (!socket.closed) await once(socket, 'close');
  }
  say('gave-up', { connected });
}

listen(
  (command) => {
    const [verb, hosts = '', port, count] = command.split(' ');
    if (verb === 'connect') void sayHow(begin(hosts.split(','), Number(port)));
    else if (verb === 'race') void race(hosts.split(','), Number(port));
    else if (verb === 'head-start') configure({ headStartMs: (headStartMs = Number(hosts)) });
    else if (verb === 'give-up') void giveUp(hosts, Number(port), Number(count));
    else throw new Error(`unknown command: ${command}`);
  },
  () => {
    for (const socket of open) socket.destroy();
  },
);
say('ready');
