'use strict';

// Copies a file to another host. Over RDMA the device sends each block from where the file has been
// read into, and the receiver writes it to its file from where the device has put it: between file and
// network no byte is copied, and both sides count that.
//
// On a host whose RDMA device has the address 192.0.2.10, and then on another:
//
//   node file-copy.js receive copy.bin 192.0.2.10 9000
//   node file-copy.js send original.bin 192.0.2.10 9000
//
// With 127.0.0.1 on both sides it is shared memory, out of which the receiver always copies.

const { once } = require('node:events');
const { createWriteStream } = require('node:fs');
const { open } = require('node:fs/promises');
const { pipeline } = require('node:stream/promises');
const { alloc, connect, createServer, info } = require('rdma-net');

const BLOCK_BYTES = 1024 * 1024;
/** While one block is being sent, the file is read into the others. */
const BLOCKS = 4;

/** Resolves when the bytes have left this memory, and it may be used again. */
function write(socket, bytes) {
  return new Promise((resolve, reject) => {
    socket.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}

async function send(file, host, port) {
  const socket = connect(port, host);
  await once(socket, 'connect');
  const { transport } = socket;
  const source = await open(file);
  // Memory that the device knows. A Buffer of one's own, written again and again, comes to the same.
  const blocks = Array.from({ length: BLOCKS }, () => ({
    memory: alloc(BLOCK_BYTES),
    sent: undefined,
  }));
  for (let turn = 0; ; turn++) {
    const block = blocks[turn % BLOCKS];
    await block.sent;
    const { bytesRead } = await source.read(block.memory, 0, BLOCK_BYTES);
    if (bytesRead === 0) break;
    block.sent = write(socket, block.memory.subarray(0, bytesRead));
  }
  await source.close();
  socket.end();
  socket.resume();
  await once(socket, 'close');
  report('sent', transport, socket, 'bytesSentInPlace', 'bytesSentCopied');
}

async function receive(file, host, port) {
  const server = createServer(async (socket) => {
    server.close();
    const { transport } = socket;
    // The Buffers of the stream are views of the memory that the device has written. It is used
    // again when they have been collected, so a program had better not keep them.
    await pipeline(socket, createWriteStream(file, { highWaterMark: BLOCK_BYTES }));
    report('received', transport, socket, 'bytesReceivedInPlace', 'bytesReceivedCopied');
  });
  server.listen(port, host);
  await once(server, 'listening');
  console.log(`listening on ${host}:${server.address().port}`);
}

/** Once the socket is closed: counters are there to the end, and after. */
function report(verb, transport, socket, inPlace, copied) {
  const { counters, reason } = info(socket);
  console.log(`${verb} over ${transport}`);
  if (counters !== undefined) {
    console.log(`  in place: ${counters[inPlace]} bytes`);
    console.log(`  copied:   ${counters[copied]} bytes`);
  } else if (reason !== undefined) {
    console.log(`  because: ${reason.code}: ${reason.text}`);
  }
}

const [role, file, host = '127.0.0.1', port = '9000'] = process.argv.slice(2);
if (role === 'send' && file) send(file, host, Number(port));
else if (role === 'receive' && file) receive(file, host, Number(port));
else {
  console.error('usage: node file-copy.js send|receive FILE [HOST [PORT]]');
  process.exitCode = 2;
}
