'use strict';

// A server in the main thread, and clients in worker threads. Workers inherit the preload; each has
// transports of its own, and its own limits and stats().
//
//   npx rdma-net run worker-threads.js
//
// On a machine with an RDMA device that has the address 192.0.2.10:
//
//   RDMA_NET_TRANSPORTS=rdma npx rdma-net run worker-threads.js 192.0.2.10

const { once } = require('node:events');
const net = require('node:net');
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');
const { stats } = require('rdma-net');

const WORKERS = 3;
const BYTES = 1024 * 1024;

/** A worker: sends bytes, and counts those that come back. */
async function work({ host, port }) {
  const socket = net.connect(port, host);
  await once(socket, 'connect');
  const { transport } = socket;
  socket.end(Buffer.alloc(BYTES, 'x'));
  let bytes = 0;
  for await (const chunk of socket) bytes += chunk.length;
  // Of this thread alone.
  const { bytesSent } = stats().counters;
  parentPort.postMessage({ transport, bytes, bytesSent });
}

async function main() {
  const [host = '127.0.0.1'] = process.argv.slice(2);
  const server = net.createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
  server.listen(0, host);
  await once(server, 'listening');
  const { port } = server.address();

  const workers = Array.from({ length: WORKERS }, async (_, index) => {
    const worker = new Worker(__filename, { workerData: { host, port } });
    const [{ transport, bytes, bytesSent }] = await once(worker, 'message');
    console.log(`worker ${index}: ${bytes} bytes came back over ${transport}`);
    console.log(`worker ${index}: rdma-net sent ${bytesSent} bytes for this thread`);
  });
  await Promise.all(workers);
  server.close();
  console.log(`main thread: rdma-net sent ${stats().counters.bytesSent} bytes for this thread`);
}

if (isMainThread) main();
else work(workerData);
