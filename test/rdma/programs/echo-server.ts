/**
 * Sends everything back, and never stops reading for it: as a peer of rstream, which sends all of a
 * transfer before it reads. Arguments: port, address.
 */
import net from 'node:net';
import { info } from '../../../lib/index';
import { describeError, listen, say, sayWhenListening } from './said';

const sockets = new Set<net.Socket>();

const server = net.createServer({ noDelay: true }, (socket) => {
  sockets.add(socket);
  let bytes = 0;
  say('connection', {
    transport: socket.transport,
    remote: `${socket.remoteAddress ?? ''}:${socket.remotePort ?? 0}`,
    queuePair: info(socket).queuePairNumber,
    peer: info(socket).peer,
  });
  socket.on('data', (chunk) => {
    bytes += chunk.length;
    socket.write(chunk);
  });
  socket.on('error', (error) => say('error', describeError(error)));
  socket.on('close', () => {
    sockets.delete(socket);
    say('closed', { bytes, counters: info(socket).counters });
  });
});

sayWhenListening(server);
server.listen(Number(process.argv[2] ?? 0), process.argv[3] ?? '0.0.0.0');

listen(
  (command) => {
    if (command === 'close') server.close(() => say('server-closed'));
  },
  () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  },
);
