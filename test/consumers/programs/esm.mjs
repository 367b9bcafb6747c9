// Named imports, which no later replacing of exports would reach.
import { connect, createServer } from 'node:net';
import { checkEcho, listening, sizes } from './exchange.js';

export const named = {
  serve(place) {
    const echo = (socket) => socket.pipe(socket);
    return listening(createServer({ allowHalfOpen: true }, echo), place);
  },
  async call({ address, port }) {
    for (const bytes of sizes) await checkEcho(connect({ port, host: address }), bytes);
  },
};
