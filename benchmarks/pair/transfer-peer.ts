/**
 * One side of the transfers that `npm run bench -- lab` measures: an ordinary program of node:net,
 * run under the preload or without. Both sides live through the whole benchmark and make a
 * connection for each transfer.
 *
 *     node transfer-peer.js server ADDRESS      says its port
 *     node transfer-peer.js client ADDRESS PORT
 *
 * Each line of standard input is a {@link Transfer} for the client to do; each line of standard
 * output is a {@link Saying}. Both end when their standard input does.
 */
import { subscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { serveTransfer, transferAsClient, type Transfer } from '../../lib/bench/transfer';
import { info, stats } from '../../lib/index';
import { percentilesOf, type Percentiles } from '../../lib/statistics';

export type { Transfer };

/** What one side spent on a transfer; numbers of rdma-net by the names it has for them. */
export interface Spent {
  transport: string;
  bytes: number;
  userSeconds: number;
  systemSeconds: number;
  counters: Record<string, number>;
}

export type Saying =
  | { event: 'ready'; port: number }
  | { event: 'done'; seconds: number; spent: Spent; latency?: Percentiles }
  | { event: 'failed'; message: string };

function say(saying: Saying): void {
  process.stdout.write(`${JSON.stringify(saying)}\n`);
}

/** The numbers among the properties of what may be absent. */
function numbersOf(object: object | undefined): Record<string, number> {
  const numbers = Object.entries(object ?? {}).filter(([, value]) => typeof value === 'number');
  return Object.fromEntries(numbers);
}

/** Notes what the process has spent, and tells how much more it is when a transfer has ended. */
function startMeter(): (socket: net.Socket) => Spent {
  const [cpuBefore, before] = [process.cpuUsage(), numbersOf(stats())];
  return (socket) => {
    const cpu = process.cpuUsage(cpuBefore);
    const sinceThen = Object.entries(numbersOf(stats())).map(([name, value]) => [
      name,
      value - (before[name] ?? 0),
    ]);
    return {
      transport: socket.transport ?? 'tcp',
      bytes: socket.bytesRead + socket.bytesWritten,
      userSeconds: cpu.user / 1e6,
      systemSeconds: cpu.system / 1e6,
      // What a connection counts has precedence over what all have counted together.
      counters: {
        ...(Object.fromEntries(sinceThen) as Record<string, number>),
        ...numbersOf(info(socket).counters),
      },
    };
  };
}

function serve(socket: net.Socket): void {
  const spentSince = startMeter();
  let spent: Spent | undefined;
  socket.on('error', (error) => say({ event: 'failed', message: error.message }));
  socket.on('end', () => (spent = spentSince(socket)));
  socket.on('close', () => {
    if (spent !== undefined) say({ event: 'done', seconds: 0, spent });
  });
  serveTransfer(socket);
}

async function runServer(address: string): Promise<void> {
  const server = net.createServer({ noDelay: true }, serve);
  const reachable =
    process.env.RDMA_NET === 'off'
      ? once(server, 'listening')
      : new Promise((resolve) => subscribe('rdma-net:listen', resolve));
  server.listen(0, address);
  await reachable;
  say({ event: 'ready', port: (server.address() as net.AddressInfo).port });
  process.stdin.resume();
  process.stdin.on('end', () => server.close());
}

async function runClient(address: string, port: number): Promise<void> {
  say({ event: 'ready', port });
  for await (const line of createInterface(process.stdin)) {
    const socket = net.connect({ port, host: address, noDelay: true });
    await once(socket, 'connect');
    const spentSince = startMeter();
    const { seconds, turnMicroseconds } = await transferAsClient(
      socket,
      JSON.parse(line) as Transfer,
    );
    const spent = spentSince(socket);
    socket.removeAllListeners('end');
    socket.end();
    await once(socket, 'close');
    say({ event: 'done', seconds, latency: percentilesOf(turnMicroseconds), spent });
  }
}

const [side, address = '', port] = process.argv.slice(2);
const running = side === 'server' ? runServer(address) : runClient(address, Number(port));
running.catch((error: unknown) => {
  say({ event: 'failed', message: String(error) });
  process.exitCode = 1;
});
