'use strict';

// What one side of the exchanges can be told to do, in a process of its own or in a thread.

const path = require('node:path');
const { watchAccepted, watchConnected, watchListen } = require('./watch');

async function consumerOf(name) {
  const [file, member] = name.split('#');
  const module = await import(path.resolve(__dirname, file));
  return (module.default ?? module)[member];
}

function commandsFor(settings) {
  let running;
  return {
    async serve({ consumer, target }) {
      const { serve } = await consumerOf(consumer);
      const reached = watchListen();
      const accepted = watchAccepted(() => running?.port);
      const { port, reason, stop, isReached } = await serve({ ...settings, target });
      running = { port, stop, accepted };
      const asksFor = settings.transport !== 'tcp' && isReached !== true;
      return { port, reason: asksFor ? await reached(port) : reason };
    },

    async call({ consumer, port }) {
      const { call } = await consumerOf(consumer);
      const connected = watchConnected(port);
      // What runs in another thread or process tells of its sockets by itself.
      const sockets = await call({ ...settings, port });
      return { sockets: sockets ?? connected() };
    },

    async stop() {
      const { stop, accepted } = running;
      const sockets = await stop();
      const seen = accepted();
      running = undefined;
      return { sockets: sockets ?? seen };
    },
  };
}

/** Answers a command, `{ id, verb, ... }`, with what became of it. */
function answererOf(settings) {
  const commands = commandsFor(settings);
  return async ({ id, verb, ...rest }) => {
    try {
      return { event: `answer ${id}`, ...(await commands[verb](rest)) };
    } catch (error) {
      const { name, message, code, cause } = error;
      const text = cause instanceof Error ? `${message}: ${cause.message}` : message;
      return { event: `answer ${id}`, failed: { name, code, message: text } };
    }
  };
}

module.exports = { answererOf };
