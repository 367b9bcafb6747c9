/**
 * Talks to itself over one connection, and stays: sends as much as its second argument says from
 * memory that can be sent in place, and says `talking` when all has arrived. With `worker` as the third
 * a worker does the same. `exit` ends it as programs end that do not close what they have.
 */
import { once } from 'node:events';
import net from 'node:net';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { alloc, info } from '../../../lib/index';
import { listen, say } from './said';

interface Wish {
  address: string;
  bytes: number;
}

/** Sends and receives, and returns how to end it. */
async function talk({ address, bytes }: Wish): Promise<() => void> {
  const server = net.createServer();
  server.listen(0, address);
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const client = net.connect(port, address);
  const [[accepted]] = await Promise.all([
    once(server, 'connection') as Promise<[net.Socket]>,
    once(client, 'connect'),
  ]);
  let received = 0;
  accepted.on('data', (data: Buffer) => (received += data.length));
  client.write(alloc(bytes));
  while (received < bytes) await once(accepted, 'data');
  const [sent, arrived] = [info(client), info(accepted)];
  say('talking', { port, isMainThread, sent: sent.counters, received: arrived.counters });
  return () => {
    client.end();
    accepted.end();
    server.close();
  };
}

async function main(): Promise<void> {
  const [address = '', bytes, worker] = process.argv.slice(2);
  const wish = { address, bytes: Number(bytes) };
  const end = await talk(wish);
  const thread = worker === 'worker' ? new Worker(__filename, { workerData: wish }) : undefined;
  listen(
    () => process.exit(0),
    () => {
      end();
      void thread?.terminate();
      process.stdin.pause();
    },
  );
}

void (isMainThread ? main() : talk(workerData as Wish));
