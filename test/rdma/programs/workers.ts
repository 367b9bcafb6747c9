/**
 * Starts workers that each talk to themselves over RDMA without end, and terminates them in the
 * middle of it; after the first it waits to be told. Arguments: address, how many.
 */
import { once } from 'node:events';
import net from 'node:net';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { listen, say } from './said';

/** A connection to itself on which both sides send all the time. */
function chatter(address: string): void {
  const chunk = Buffer.alloc(100_000, 'worker');
  let received = 0;
  const talk = (socket: net.Socket): void => {
    const more = (): void => {
      while (socket.write(chunk));
    };
    socket.on('drain', more);
    socket.on('data', (data: Buffer) => {
      received += data.length;
      if (received > 1_000_000) parentPort?.postMessage(socket.transport);
    });
    more();
  };
  const server = net.createServer(talk);
  server.listen(0, address, () => {
    talk(net.connect((server.address() as net.AddressInfo).port, address));
  });
}

async function main(): Promise<void> {
  const [address, count] = process.argv.slice(2);
  const told = new Promise<void>((resolve) => {
    listen(
      () => resolve(),
      () => process.stdin.pause(),
    );
  });
  for (let i = 0; i < Number(count); i++) {
    if (i === 1) await told;
    const worker = new Worker(__filename, { workerData: address });
    const [transport] = (await once(worker, 'message')) as [string];
    say('terminated', { transport, code: await worker.terminate() });
  }
  say('done');
}

if (isMainThread) void main();
else chatter(workerData as string);
