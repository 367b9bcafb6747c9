/**
 * An http server and an Agent with keep-alive in one process: requests one after the other and at
 * once, with bodies of several sizes. Argument: the address.
 */
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { say } from './said';

const address = process.argv[2] ?? '';
const sizes = [0, 1, 1000, 100_000, 3_000_000];

const server = http.createServer((request, response) => {
  const { socket } = request;
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    response.setHeader('x-transport', socket.transport ?? 'none');
    response.end(Buffer.concat(chunks));
  });
});

const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
const sockets = new Set<Socket>();

async function post(port: number, bytes: number): Promise<void> {
  const body = Buffer.alloc(bytes, 'body');
  const request = http.request({ host: address, port, agent, method: 'POST' });
  request.on('socket', (socket) => sockets.add(socket));
  request.end(body);
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const same = Buffer.concat(chunks).equals(body);
  say('response', { bytes, same, server: response.headers['x-transport'] });
}

server.listen(0, address, () => {
  void (async () => {
    const { port } = server.address() as AddressInfo;
    for (const bytes of sizes) await post(port, bytes);
    await Promise.all(Array.from({ length: 20 }, (_, i) => post(port, sizes[i % 4] ?? 0)));
    say('done', { sockets: sockets.size, clients: [...sockets].map((s) => s.transport) });
    agent.destroy();
    server.close(() => say('server-closed'));
  })();
});
