/** A plain TCP server that takes connections until they end. Argument: the address. Prints its port. */
import net from 'node:net';

const server = net.createServer((socket) => {
  socket.on('error', () => undefined);
  socket.resume();
});
server.listen(0, process.argv[2], () => {
  console.log((server.address() as net.AddressInfo).port);
});
