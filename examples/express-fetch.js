'use strict';

// An express server, and a client that uses Node's fetch(). Both are as they would be without
// rdma-net; the answer tells on what the server's socket runs.
//
//   npx rdma-net run express-fetch.js     # both in one process: they meet over shared memory
//   node express-fetch.js                 # without rdma-net, to compare
//
// Between two hosts, the first of which has an RDMA device with the address 192.0.2.10:
//
//   npx rdma-net run express-fetch.js serve 192.0.2.10 8080
//   npx rdma-net run express-fetch.js call 192.0.2.10 8080

const { once } = require('node:events');
const express = require('express');

const [role = 'both', host = '127.0.0.1', port = '0'] = process.argv.slice(2);

async function serve() {
  const app = express();
  app.use(express.json());
  app.post('/greetings', (request, response) => {
    // The only trace of rdma-net in this program: sockets tell their transport.
    const { transport = 'TCP, without rdma-net' } = request.socket;
    response.json({ text: `Hello, ${request.body.name}!`, transport });
  });
  const server = app.listen(Number(port), host);
  await once(server, 'listening');
  console.log(`listening on http://${host}:${server.address().port}`);
  return server;
}

async function call(port) {
  const response = await fetch(`http://${host}:${port}/greetings`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'express' }),
  });
  const { text, transport } = await response.json();
  console.log(`${text} (over ${transport})`);
}

async function main() {
  const server = role === 'call' ? undefined : await serve();
  if (role === 'serve') return;
  await call(server === undefined ? port : server.address().port);
  server?.close();
}

main();
