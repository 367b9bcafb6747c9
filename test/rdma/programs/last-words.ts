/**
 * Sends 200,000 bytes and ends its process: `exit` calls process.exit as soon as the last write was
 * taken, `natural` has nothing more to do. Arguments: which, address, port.
 */
import net from 'node:net';

const [how, address = '', port] = process.argv.slice(2);

const socket = net.connect(Number(port), address, () => {
  const bytes = Buffer.alloc(200_000, 'last words');
  if (how === 'exit') socket.write(bytes, () => process.exit());
  else socket.end(bytes);
});
