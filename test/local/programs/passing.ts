/**
 * A process and its child, which inherits the preload, and which it sends sockets and servers to.
 * Says what came of it. Arguments: what it does, address, and for the child `child` before them.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { info } from '../../../lib/index';
import { say } from '../../rdma/programs/said';

const [what = '', host = '', role] = process.argv.slice(2);

async function textOf(socket: net.Socket): Promise<string> {
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return text;
}

/** What is said by whoever answers at that port, and on what. */
async function call(port: number): Promise<Record<string, unknown>> {
  const socket = net.connect({ host, port });
  await once(socket, 'connect');
  const { transport } = socket;
  return { transport, text: await textOf(socket) };
}

async function listen(server: net.Server): Promise<number> {
  server.listen(0, host);
  await once(server, 'listening');
  return (server.address() as net.AddressInfo).port;
}

function answer(socket: net.Socket): void {
  socket.end(role === 'child' ? 'child' : 'parent');
}

/** The child listens, and the parent calls it. */
async function inherit(child: ChildProcess): Promise<void> {
  const [port] = (await once(child, 'message')) as [number];
  say('called', await call(port));
}

async function passServer(child: ChildProcess): Promise<void> {
  const server = net.createServer(answer);
  const port = await listen(server);
  say('called', await call(port));
  child.send('server', server);
  await once(child, 'message');
  const after = info(server);
  say('passed', { transports: after.transports, reason: after.reason?.code });
  server.close();
  say('called', await call(port));
}

async function passSocket(child: ChildProcess): Promise<void> {
  const server = net.createServer((socket) => {
    try {
      child.send('socket', socket);
      say('sent');
    } catch (error) {
      say('refused', { code: (error as NodeJS.ErrnoException).code });
      answer(socket);
    }
  });
  const port = await listen(server);
  // The first is not over TCP; the server then knows that its sockets are to be sent.
  for (let n = 0; n < 2; n++) say('called', await call(port));
  server.close();
}

const deeds: Record<string, (child: ChildProcess) => Promise<void>> = {
  inherit,
  'pass-server': passServer,
  'pass-socket': passSocket,
};

async function lead(): Promise<void> {
  const child = fork(__filename, [what, host, 'child']);
  await deeds[what]?.(child);
  child.disconnect();
  const [code] = (await once(child, 'exit')) as [number];
  say('exited', { code });
}

async function follow(): Promise<void> {
  process.on('message', (_message, handle) => {
    if (handle instanceof net.Socket) answer(handle);
    else if (handle instanceof net.Server) {
      handle.on('connection', answer);
      process.once('disconnect', () => handle.close());
      process.send?.('listening');
    }
  });
  if (what !== 'inherit') return;
  const server = net.createServer(answer);
  process.once('disconnect', () => server.close());
  process.send?.(await listen(server));
}

void (role === 'child' ? follow() : lead());
