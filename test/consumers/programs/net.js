'use strict';

const net = require('node:net');
const { checkEcho, listening, sizes } = require('./exchange');

exports.echo = {
  serve(place) {
    return listening(
      net.createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket)),
      place,
    );
  },
  async call({ address, port }) {
    for (const bytes of sizes) {
      await checkEcho(net.connect({ port, host: address, allowHalfOpen: true }), bytes);
    }
  },
};

/** In front of a server that does not run under the preload: a program that passes bytes on. */
exports.relay = {
  serve(place) {
    const server = net.createServer((socket) => {
      const upstream = net.connect(place.target, '127.0.0.1');
      const end = () => {
        socket.destroy();
        upstream.destroy();
      };
      for (const each of [socket, upstream]) each.on('error', end).on('close', end);
      socket.pipe(upstream).pipe(socket);
    });
    return listening(server, place);
  },
};
