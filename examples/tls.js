'use strict';

// TLS over RDMA or shared memory: Node encrypts before the bytes reach the transport, with the same
// options, certificates and checks as over TCP.
//
// It needs a key and a certificate; this makes some for a server of the name localhost:
//
//   openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 \
//     -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout key.pem -out certificate.pem
//   npx rdma-net run tls.js               # both in one process: they meet over shared memory
//
// Between two hosts, the first of which has an RDMA device with the address 192.0.2.10. Copy
// certificate.pem to the second:
//
//   npx rdma-net run tls.js serve 192.0.2.10 8443
//   npx rdma-net run tls.js call 192.0.2.10 8443

const { once } = require('node:events');
const { readFileSync } = require('node:fs');
const tls = require('node:tls');

const [role = 'both', host = '127.0.0.1', port = '0'] = process.argv.slice(2);

async function serve() {
  const options = { key: readFileSync('key.pem'), cert: readFileSync('certificate.pem') };
  const server = tls.createServer(options, (socket) => {
    socket.on('error', (error) => console.error(error.message));
    socket.end(`Hello over ${socket.getProtocol()}\n`);
  });
  server.listen(Number(port), host);
  await once(server, 'listening');
  console.log(`listening on ${host}:${server.address().port}`);
  return server;
}

async function call(port) {
  // The certificate vouches for itself, and for the name, whatever the address is.
  const ca = readFileSync('certificate.pem');
  const socket = tls.connect({ host, port: Number(port), ca, servername: 'localhost' });
  await once(socket, 'secureConnect');
  // A TLS socket tells the transport of the connection that is under it.
  const { transport = 'TCP, without rdma-net' } = socket;
  const { name } = socket.getCipher();
  console.log(`authorized: ${socket.authorized}, ${name}, over ${transport}`);
  for await (const bytes of socket) process.stdout.write(bytes);
}

async function main() {
  const server = role === 'call' ? undefined : await serve();
  if (role === 'serve') return;
  await call(server === undefined ? port : server.address().port);
  server?.close();
}

main();
