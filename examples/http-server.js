'use strict';

// A plain Node http server, as anybody would write it: GET / says hello, GET /N answers N bytes.
//
//   node examples/http-server.js
//   PORT=8080 HOST=0.0.0.0 node examples/http-server.js

const http = require('node:http');

const server = http.createServer((request, response) => {
  const bytes = Number(request.url.slice(1));
  if (bytes > 0 && bytes <= 1 << 30) response.end(Buffer.alloc(bytes, 'x'));
  else response.end('Hello, world!\n');
});

server.listen(Number(process.env.PORT ?? 8080), process.env.HOST ?? '0.0.0.0', () => {
  const { address, port } = server.address();
  console.log(`listening on http://${address}:${port}`);
});

process.on('SIGTERM', () => {
  server.close();
  server.closeAllConnections();
});
