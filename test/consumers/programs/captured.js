'use strict';

// Loaded before the preload: what is taken from the modules here is as Node made it.

const { createServer, get } = require('node:http');
const { connect, Socket } = require('node:net');
const { bodyOf, checkSame, collect, listening } = require('./exchange');

const connectSocket = Socket.prototype.connect;
const body = bodyOf(1000);

exports.early = {
  serve(place) {
    const server = createServer((request, response) => response.end(body));
    return listening(server, place);
  },
  async call({ address, port }) {
    const options = { host: address, port, agent: false };
    const response = await new Promise((resolve, reject) => {
      get(options, resolve).on('error', reject);
    });
    checkSame(await collect(response), body);
    const request = 'GET / HTTP/1.0\r\n\r\n';
    for (const socket of [
      connect(port, address),
      connectSocket.call(new Socket(), port, address),
    ]) {
      socket.write(request);
      checkSame((await collect(socket)).subarray(-body.length), body);
    }
  },
};
