'use strict';

// One side of the exchanges, client or server: it does what it is told in lines of JSON, and says what
// came of it and on what the sockets ran.
//
//   node --require rdma-net/preload side.js '{ "address": ..., "folder": ..., "transport": ... }'

const { createInterface } = require('node:readline');
const { answererOf } = require('./commands');

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

const answer = answererOf(JSON.parse(process.argv[2]));
createInterface(process.stdin).on('line', (line) => {
  answer(JSON.parse(line)).then(say);
});
say({ event: 'ready', version: process.version });
