'use strict';

const http = require('node:http');
const { watchListen } = require('./watch');

const reached = watchListen();
const server = http.createServer((request, response) => {
  process.send({ transport: request.socket.transport }, () => response.end(`${process.pid}`));
});
server.listen(0, process.argv[2], () => {
  const { port } = server.address();
  reached(port).then((reason) => process.send({ port, reason }));
});
