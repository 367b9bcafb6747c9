// rdma-net for some of a program's sockets, without the preload: those made by its own `net`. All
// others stay as they are.
//
//   node explicit-import.mjs
//
// Between two hosts, the first of which has an RDMA device with the address 192.0.2.10:
//
//   node explicit-import.mjs serve 192.0.2.10 8080
//   node explicit-import.mjs call 192.0.2.10 8080

import { once } from 'node:events';
import http from 'node:http';
import plainNet from 'node:net';
import net from 'rdma-net';

const [role = 'both', host = '127.0.0.1', wantedPort = '0'] = process.argv.slice(2);

async function serve() {
  // An http server makes its own listener. This one gets the connections of another: Node lets
  // programs emit 'connection' for that.
  const web = http.createServer((request, response) => {
    response.end(`Hello over ${request.socket.transport}\n`);
  });
  const server = net.createServer((socket) => web.emit('connection', socket));
  server.listen(Number(wantedPort), host);
  await once(server, 'listening');
  console.log(`listening on ${host}:${server.address().port}`);
  return server;
}

async function call(port) {
  // net, for a protocol of one's own.
  const socket = net.connect(port, host);
  await once(socket, 'connect');
  console.log(`rdma-net:  ${socket.transport}`);
  socket.destroy();

  // An http client takes such sockets through its agent.
  const agent = new http.Agent();
  agent.createConnection = net.createConnection;
  const request = http.get({ host, port, agent });
  const [response] = await once(request, 'response');
  for await (const text of response.setEncoding('utf8')) process.stdout.write(`http:      ${text}`);

  // The rest of the program is not touched.
  const plain = plainNet.connect(port, host);
  await once(plain, 'connect');
  console.log(`node:net:  ${plain.transport}`);
  plain.destroy();
}

const server = role === 'call' ? undefined : await serve();
if (role !== 'serve') {
  await call(server === undefined ? Number(wantedPort) : server.address().port);
  server?.close();
}
