'use strict';

// The other end of rsockets-peer.c, a program in C over the rsockets of rdma-core: what rdma-net
// speaks on RDMA is their protocol. 192.0.2.10 is the address of an RDMA device.
//
//   cc -O2 -Wall -o rsockets-peer rsockets-peer.c -lrdmacm
//
//   node rsockets-peer.js serve 192.0.2.10 7471     # then, here or on another host:
//   ./rsockets-peer call 192.0.2.10 7471
//
//   ./rsockets-peer serve 192.0.2.10 7471           # the other way round
//   node rsockets-peer.js call 192.0.2.10 7471

const { once } = require('node:events');
const { connect, createServer, info } = require('rdma-net');

const [role, host = '127.0.0.1', port = '7471'] = process.argv.slice(2);

/** Sends all that comes back to where it came from, as rsockets-peer.c does. */
async function serve() {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    // 'rsockets' for a program in C, 'rdma-net' for another of Node.
    const { peer, transport } = info(socket);
    let bytes = 0;
    socket.on('data', (chunk) => (bytes += chunk.length));
    socket.on('error', (error) => console.error(error.message));
    socket.on('close', () =>
      console.log(`${bytes} bytes from ${peer ?? 'a peer'} over ${transport}`),
    );
    socket.pipe(socket);
  });
  server.listen(Number(port), host);
  await once(server, 'listening');
  console.log(`listening on ${host}:${server.address().port}`);
}

async function call() {
  const socket = connect(Number(port), host);
  await once(socket, 'connect');
  const { peer, transport } = info(socket);
  console.log(`connected to ${peer ?? 'a peer'} over ${transport}`);
  socket.end('Hello from JavaScript\n');
  for await (const text of socket.setEncoding('utf8')) process.stdout.write(text);
}

if (role === 'serve') serve();
else if (role === 'call') call();
else {
  console.error('usage: node rsockets-peer.js serve|call [HOST [PORT]]');
  process.exitCode = 2;
}
