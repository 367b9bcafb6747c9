'use strict';

// The http server of a cluster of two workers. Its client knows nothing of it.

const assert = require('node:assert/strict');
const cluster = require('node:cluster');
const { once } = require('node:events');
const http = require('node:http');
const path = require('node:path');
const { collect } = require('./exchange');

const WORKERS = 2;

exports.http = {
  async serve({ address }) {
    cluster.setupPrimary({ exec: path.join(__dirname, 'cluster-worker.js'), args: [address] });
    const workers = Array.from({ length: WORKERS }, () => cluster.fork());
    const ready = await Promise.all(workers.map((worker) => once(worker, 'message')));
    const accepted = [];
    for (const worker of workers) worker.on('message', (socket) => accepted.push(socket));
    const stop = async () => {
      await Promise.all(
        workers.map((worker) => {
          const exit = once(worker, 'exit');
          worker.disconnect();
          return exit;
        }),
      );
      return accepted;
    };
    const [{ port, reason }] = ready[0];
    return { port, reason, stop, isReached: true };
  },
  async call({ address, port }) {
    const pids = new Set();
    for (let turn = 0; turn < 4; turn++) {
      const [response] = await once(http.get({ host: address, port, agent: false }), 'response');
      pids.add((await collect(response)).toString());
    }
    assert.equal(pids.size, WORKERS, 'every worker had connections');
  },
};
