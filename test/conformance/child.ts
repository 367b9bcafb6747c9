/** Takes a socket from its parent, and says so. */
process.on('message', (message, socket) => {
  process.send?.({ message, hasSocket: socket !== undefined });
});
