'use strict';

// Debian has no MongoDB server: this stand-in speaks as much of its protocol, OP_MSG, as a client
// needs to connect, to insert and to find.

const assert = require('node:assert/strict');
const net = require('node:net');
const { bodyOf, checkSame, listening } = require('./exchange');

const HEADER_BYTES = 16;
const OP_MSG = 2013;

/** The command of a message, with its sequences of documents as arrays in it. */
function parse(message, BSON) {
  assert.equal(message.readInt32LE(12), OP_MSG);
  let command = {};
  const sequences = {};
  for (let at = HEADER_BYTES + 4; at < message.length;) {
    const kind = message[at++];
    const end = at + message.readInt32LE(at);
    if (kind === 0) command = BSON.deserialize(message.subarray(at, end), { promoteBuffers: true });
    else {
      const nameEnd = message.indexOf(0, at + 4);
      const documents = (sequences[message.toString('utf8', at + 4, nameEnd)] = []);
      for (let next = nameEnd + 1; next < end; next += message.readInt32LE(next)) {
        const bytes = message.subarray(next, next + message.readInt32LE(next));
        documents.push(BSON.deserialize(bytes, { promoteBuffers: true }));
      }
    }
    at = end;
  }
  return { ...command, ...sequences };
}

function respond(request, document, BSON) {
  const body = BSON.serialize(document);
  const message = Buffer.alloc(HEADER_BYTES + 5 + body.length);
  message.writeInt32LE(message.length, 0);
  message.writeInt32LE(request.readInt32LE(4), 8);
  message.writeInt32LE(OP_MSG, 12);
  message.set(body, HEADER_BYTES + 5);
  return message;
}

function answer(command, collection, BSON) {
  if ('hello' in command) {
    const limits = { maxBsonObjectSize: 1 << 24, maxMessageSizeBytes: 48e6 };
    const versions = { minWireVersion: 0, maxWireVersion: 21, maxWriteBatchSize: 100_000 };
    return { ok: 1, helloOk: true, isWritablePrimary: true, ...limits, ...versions };
  }
  if ('insert' in command) {
    collection.push(...command.documents);
    return { ok: 1, n: command.documents.length };
  }
  if ('find' in command) {
    const ns = `${command.$db}.${command.find}`;
    return { ok: 1, cursor: { id: BSON.Long.ZERO, ns, firstBatch: collection } };
  }
  return { ok: 1 };
}

exports.mongodb = {
  serve(place) {
    const { BSON } = require('mongodb');
    const collection = [];
    const server = net.createServer((socket) => {
      let pending = Buffer.alloc(0);
      socket.on('data', (chunk) => {
        pending = Buffer.concat([pending, chunk]);
        while (pending.length >= HEADER_BYTES && pending.length >= pending.readInt32LE(0)) {
          const message = pending.subarray(0, pending.readInt32LE(0));
          pending = pending.subarray(message.length);
          socket.write(respond(message, answer(parse(message, BSON), collection, BSON), BSON));
        }
      });
      socket.on('error', () => socket.destroy());
    });
    return listening(server, place);
  },
  async call({ address, port }) {
    const { MongoClient } = require('mongodb');
    // Without a version of the interface, the first message is of the protocol before OP_MSG.
    const options = { serverApi: '1', retryWrites: false, directConnection: true };
    const client = new MongoClient(`mongodb://${address}:${port}/`, options);
    const collection = client.db('test').collection('things');
    const body = bodyOf(300_000);
    await collection.insertMany([{ name: 'one', body }, { name: 'two' }]);
    const found = await collection.find({}, { promoteBuffers: true }).toArray();
    assert.deepEqual(
      found.map(({ name }) => name),
      ['one', 'two'],
    );
    checkSame(found[0].body, body);
    await client.close();
  },
};
