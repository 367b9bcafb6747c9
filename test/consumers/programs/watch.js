'use strict';

// What can be told from outside of the sockets that a consumer made: by Node's channels and ours.

const { subscribe, unsubscribe } = require('node:diagnostics_channel');

/** Sockets that a server of this process accepted since. */
function watchAccepted(portOf) {
  const sockets = [];
  const note = ({ socket }) => sockets.push(socket);
  subscribe('net.server.socket', note);
  return () => {
    unsubscribe('net.server.socket', note);
    return sockets
      .filter(({ localPort }) => localPort === undefined || localPort === portOf())
      .map(({ transport }) => ({ transport }));
  };
}

/** Sockets of this process that connected to a port since. */
function watchConnected(port) {
  const found = [];
  const note = (message) => {
    if (message.socket === undefined || message.port !== port) return;
    const { transport = 'tcp', reason } = message;
    found.push({ transport, reason: reason?.code });
  };
  for (const name of ['rdma-net:connect', 'rdma-net:fallback']) subscribe(name, note);
  return () => {
    for (const name of ['rdma-net:connect', 'rdma-net:fallback']) unsubscribe(name, note);
    return found;
  };
}

/**
 * Starts to watch; then waits until it is settled over what the server of a port can be reached, and
 * gives the reason if that is TCP alone.
 */
function watchListen() {
  const settled = new Map();
  let wake = () => undefined;
  const note = ({ server, reason }) => {
    if (server === undefined) return;
    settled.set(server, reason?.code);
    wake();
  };
  const find = (port) => [...settled].find(([server]) => server.address()?.port === port);
  for (const name of ['rdma-net:listen', 'rdma-net:fallback']) subscribe(name, note);
  return async (port) => {
    let found = find(port);
    for (; found === undefined; found = find(port))
      await new Promise((resolve) => (wake = resolve));
    for (const name of ['rdma-net:listen', 'rdma-net:fallback']) unsubscribe(name, note);
    return found[1];
  };
}

module.exports = { watchAccepted, watchConnected, watchListen };
