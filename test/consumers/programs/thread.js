'use strict';

// The other end of `elsewhere.js`: a thread or a child that does as it is told.

const { parentPort, workerData } = require('node:worker_threads');
const { answererOf } = require('./commands');

if (parentPort !== null) {
  const answer = answererOf(workerData);
  parentPort.on('message', (command) => {
    answer(command).then((message) => parentPort.postMessage(message));
  });
} else {
  const answer = answererOf(JSON.parse(process.argv[2]));
  process.on('message', (command) => {
    answer(command).then((message) => process.send(message));
  });
}
