'use strict';

// Sends a text to a server of its own and back, and prints in JSON whether all of it came, and over
// what. It knows of net only: rdma-net comes with the preload.

const { once } = require('node:events');
const net = require('node:net');

const TEXT = 'over and back\n'.repeat(10_000);

async function main() {
  const server = net.createServer((socket) => socket.pipe(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = net.connect(server.address().port, '127.0.0.1');
  client.end(TEXT);
  let received = '';
  for await (const chunk of client.setEncoding('utf8')) received += chunk;
  server.close();
  const result = { transport: client.transport, whole: received === TEXT };
  console.log(JSON.stringify({ ...result, node: process.version, arch: process.arch }));
}

main();
