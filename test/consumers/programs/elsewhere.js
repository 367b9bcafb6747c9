'use strict';

// Consumers in a thread or in a child, which inherit the preload without being told of it.

const { fork } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const { Worker } = require('node:worker_threads');

const program = path.join(__dirname, 'thread.js');
const consumer = 'net.js#echo';

function inThread(settings) {
  const worker = new Worker(program, { workerData: settings });
  return {
    send: (command) => worker.postMessage(command),
    answer: () => once(worker, 'message'),
    end: () => worker.terminate(),
  };
}

function inChild(settings) {
  const child = fork(program, [JSON.stringify(settings)], { execArgv: [] });
  return {
    send: (command) => child.send(command),
    answer: () => once(child, 'message'),
    end: async () => {
      child.disconnect();
      await once(child, 'exit');
    },
  };
}

async function ask(other, command) {
  other.send({ id: 0, ...command });
  const [answer] = await other.answer();
  if (answer.failed === undefined) return answer;
  throw Object.assign(new Error(answer.failed.message), answer.failed);
}

function elsewhere(start) {
  return {
    async serve(settings) {
      const other = start(settings);
      const { port } = await ask(other, { verb: 'serve', consumer });
      const stop = async () => {
        const { sockets } = await ask(other, { verb: 'stop' });
        await other.end();
        return sockets;
      };
      return { port, stop, isReached: true };
    },
    async call({ port, ...settings }) {
      const other = start(settings);
      const { sockets } = await ask(other, { verb: 'call', consumer, port });
      await other.end();
      return sockets;
    },
  };
}

exports.thread = elsewhere(inThread);
exports.child = elsewhere(inChild);
