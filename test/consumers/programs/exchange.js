'use strict';

// What the consumers share. Each is { serve, call }: serve resolves with a port and how to stop, and
// call throws unless every answer was as it had to be.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const { readFileSync } = require('node:fs');
const path = require('node:path');

/** One byte, and more than any buffer on the way holds. */
const sizes = [1, 300_000];

/** Bytes of which no two stretches are alike. */
function bodyOf(bytes) {
  const body = Buffer.allocUnsafe(bytes);
  for (let index = 0; index < bytes; index++) body[index] = (index * 7 + (index >> 8)) & 0xff;
  return body;
}

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Ends a duplex stream with bytes, and checks that the very same come back before its end. */
async function checkEcho(duplex, bytes) {
  const body = bodyOf(bytes);
  duplex.end(body);
  checkSame(await collect(duplex), body);
}

/** Writes bytes, and checks that the very same come back; the stream stays open. */
async function checkAnswer(duplex, bytes) {
  const body = bodyOf(bytes);
  duplex.write(body);
  const chunks = [];
  for (let missing = bytes; missing > 0;) {
    const chunk = duplex.read();
    if (chunk === null) await once(duplex, 'readable');
    else {
      chunks.push(chunk);
      missing -= chunk.length;
    }
  }
  checkSame(Buffer.concat(chunks), body);
}

// Without a comparison of two long Buffers in the message.
function checkSame(received, sent) {
  const text = `${received.length} of ${sent.length} bytes came back, or others`;
  assert.ok(Buffer.compare(received, sent) === 0, text);
}

/** Lets a server of net, http, https, http2 or tls listen. */
async function listening(server, { address }) {
  server.listen(0, address);
  await once(server, 'listening');
  return { port: server.address().port, stop: () => closing(server) };
}

/** Closes a server when its connections have ended by themselves. */
async function closing(server) {
  server.close();
  server.closeIdleConnections?.();
  await once(server, 'close');
}

/** Keys and certificates: `ca`, and for server and client `key` and `cert`. */
function certificates({ folder }) {
  const read = (name) => readFileSync(path.join(folder, `${name}.pem`));
  const pair = (name) => ({ key: read(`${name}-key`), cert: read(name) });
  return { ca: read('ca'), server: pair('server'), other: pair('other'), client: pair('client') };
}

/** What is not in every version of Node. */
class NotThere extends Error {
  name = 'NotThere';
}

module.exports = {
  NotThere,
  bodyOf,
  certificates,
  checkAnswer,
  checkEcho,
  checkSame,
  closing,
  collect,
  listening,
  sizes,
};
