'use strict';

// A gRPC server and client, as they would be without rdma-net. gRPC keeps its sockets to itself, so
// that the channels of node:diagnostics_channel tell what they run on.
//
//   npx rdma-net run grpc.js              # both in one process: they meet over shared memory
//   node grpc.js                          # without rdma-net, to compare
//
// Between two hosts, the first of which has an RDMA device with the address 192.0.2.10:
//
//   npx rdma-net run grpc.js serve 192.0.2.10 50051
//   npx rdma-net run grpc.js call 192.0.2.10 50051

const { subscribe } = require('node:diagnostics_channel');
const path = require('node:path');
const { promisify } = require('node:util');
const grpc = require('@grpc/grpc-js');
const protoLoader = require('@grpc/proto-loader');

const [role = 'both', host = '127.0.0.1', wantedPort = '0'] = process.argv.slice(2);
const definition = protoLoader.loadSync(path.join(__dirname, 'greeter.proto'));
const { Greeter } = grpc.loadPackageDefinition(definition);

// Silent without rdma-net.
subscribe('rdma-net:connect', ({ port, transport }) => {
  console.log(`connected to port ${port} over ${transport}`);
});
subscribe('rdma-net:fallback', ({ socket, port, reason }) => {
  if (socket) console.log(`connecting to port ${port} over tcp: ${reason.code}`);
});

async function serve() {
  const server = new grpc.Server();
  server.addService(Greeter.service, {
    greet: (call, done) => done(null, { text: `Hello, ${call.request.name}!` }),
    count: (call) => {
      for (let number = 1; number <= call.request.limit; number++) call.write({ number });
      call.end();
    },
  });
  const bind = promisify(server.bindAsync).bind(server);
  const port = await bind(`${host}:${wantedPort}`, grpc.ServerCredentials.createInsecure());
  console.log(`listening on ${host}:${port}`);
  return { server, port };
}

async function call(port) {
  const client = new Greeter(`${host}:${port}`, grpc.credentials.createInsecure());
  const greet = promisify(client.greet).bind(client);
  console.log((await greet({ name: 'gRPC' })).text);
  const numbers = [];
  for await (const { number } of client.count({ limit: 5 })) numbers.push(number);
  console.log(`streamed: ${numbers.join(' ')}`);
  client.close();
}

async function main() {
  if (role === 'call') {
    await call(wantedPort);
    return;
  }
  const { server, port } = await serve();
  if (role === 'serve') return;
  await call(port);
  server.tryShutdown(() => undefined);
}

main();
