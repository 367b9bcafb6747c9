/**
 * A cluster. The primary is told what to do, and says `exited` of workers that ended:
 *
 *     fork          one more worker, which says `joined` when it can be reached
 *     kill PID      SIGKILL
 *     stop PID      lets it close its server, and disconnect
 *
 * Arguments: scheduling policy, kind of server (`net`, `http`), options of listen as JSON, and
 * `maxConnections` with them. A server of `net` says the number of its process first, and on what the socket runs; then it echoes.
 */
import cluster from 'node:cluster';
import { subscribe } from 'node:diagnostics_channel';
import http from 'node:http';
import net from 'node:net';
import { info } from '../../../lib/index';
import { listen, say } from '../../rdma/programs/said';

const [policy, kind, options = '{}'] = process.argv.slice(2);

function workerOf(pid: string | undefined): ReturnType<typeof cluster.fork> | undefined {
  return Object.values(cluster.workers ?? {}).find((worker) => worker?.process.pid === Number(pid));
}

function obey(command: string): void {
  const [verb, pid] = command.split(' ');
  if (verb === 'fork') cluster.fork();
  else if (verb === 'kill') workerOf(pid)?.process.kill('SIGKILL');
  else if (verb === 'stop') workerOf(pid)?.disconnect();
  else throw new Error(`unknown command: ${command}`);
}

function lead(): void {
  cluster.schedulingPolicy = policy === 'none' ? cluster.SCHED_NONE : cluster.SCHED_RR;
  cluster.on('exit', ({ process: { pid } }, code, signal) => say('exited', { pid, code, signal }));
  listen(obey, () => {
    process.stdin.destroy();
    cluster.disconnect();
  });
}

function echo(socket: net.Socket): void {
  socket.on('error', () => undefined);
  socket.write(`${process.pid} ${socket.transport}\n`);
  socket.pipe(socket);
}

function serve(): void {
  const { maxConnections, ...place } = JSON.parse(options) as net.ListenOptions & {
    maxConnections?: number;
  };
  const server =
    kind === 'http'
      ? http.createServer((_request, response) => response.end(String(process.pid)))
      : net.createServer({ allowHalfOpen: true }, echo);
  const tell = (): void => {
    const { port } = server.address() as net.AddressInfo;
    const { transports, reasons } = info(server);
    say('joined', { pid: process.pid, port, transports, rdma: reasons.rdma?.code });
  };
  server.on('error', ({ code }: NodeJS.ErrnoException) => {
    say('failed', { pid: process.pid, code });
  });
  if (maxConnections !== undefined) server.maxConnections = maxConnections;
  const isOnTcp = maxConnections !== undefined || process.env.RDMA_NET === 'off';
  if (isOnTcp) server.once('listening', tell);
  else subscribe('rdma-net:listen', tell);
  // A port of its own is nothing that the cluster would close.
  process.once('disconnect', () => server.close());
  server.listen(place);
}

if (cluster.isPrimary) lead();
else serve();
