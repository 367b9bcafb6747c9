/**
 * The measurement of `npm start` and `npm run bench -- http`, on the machine (or guest) it runs on:
 * examples/http-server.js under the preload, and autocannon against it, over TCP and over RDMA in
 * turn. Prints one line of JSON, a {@link Comparison}, and progress on standard error.
 *
 *     node dist/benchmarks/http/compare.js ADDRESS [SECONDS] [ROUNDS]
 */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { firstLine, nodeWithPreload } from '../support/children';
import { overRdma, overTcp } from '../support/environments';
import type { LoadResult } from './load';

/** One line of the table. */
export interface Row extends LoadResult {
  workload: string;
  asked: 'tcp' | 'rdma';
  /** Queue pairs of the server that `rdma resource show qp` listed in the middle of the run. */
  serverQueuePairs: number;
}

export interface Comparison {
  node: string;
  rows: Row[];
}

const PORT = 8099;
const CONNECTIONS = 10;
/** What is asked for: a path of examples/http-server.js. */
const workloads: [string, string][] = [
  ['hello world', '/'],
  ['64 KiB body', '/65536'],
];

async function queuePairsOf(pid: number): Promise<number> {
  const { stdout } = await promisify(execFile)('rdma', ['-j', 'resource', 'show', 'qp']);
  const listed = JSON.parse(stdout) as { pid?: number }[];
  return listed.filter((entry) => entry.pid === pid).length;
}

async function load(url: string, seconds: number, transport: 'tcp' | 'rdma'): Promise<string> {
  const env = transport === 'tcp' ? overTcp : overRdma;
  const args = [url, String(CONNECTIONS), String(seconds)];
  return firstLine(nodeWithPreload('dist/benchmarks/http/load.js', args, env));
}

async function measure(
  address: string,
  seconds: number,
  workload: [string, string],
  transport: 'tcp' | 'rdma',
  serverPid: number,
): Promise<Row> {
  const [name, path] = workload;
  const url = `http://${address}:${PORT}${path}`;
  process.stderr.write(`measuring ${name} over ${transport} ...\n`);
  const running = load(url, seconds, transport);
  // Looks at the kernel's list until the run has ended, and keeps what it saw of it.
  let serverQueuePairs = 0;
  const look = async (): Promise<void> => {
    serverQueuePairs = Math.max(serverQueuePairs, await queuePairsOf(serverPid));
  };
  const looking = setInterval(() => void look().catch(() => undefined), 1000);
  const result = JSON.parse(await running.finally(() => clearInterval(looking))) as LoadResult;
  return { ...result, workload: name, asked: transport, serverQueuePairs };
}

async function main(): Promise<void> {
  const [address = '127.0.0.1', seconds = '6', rounds = '1'] = process.argv.slice(2);
  const server = nodeWithPreload('examples/http-server.js', [], {
    HOST: address,
    PORT: String(PORT),
    RDMA_NET_TRANSPORTS: overRdma.RDMA_NET_TRANSPORTS,
  });
  await firstLine(server);
  const rows: Row[] = [];
  for (let round = 0; round < Number(rounds); round++) {
    for (const workload of workloads) {
      for (const transport of ['tcp', 'rdma'] as const) {
        rows.push(await measure(address, Number(seconds), workload, transport, server.pid ?? -1));
      }
    }
  }
  server.kill('SIGTERM');
  await once(server, 'exit');
  const comparison: Comparison = { node: process.version, rows };
  process.stdout.write(`${JSON.stringify(comparison)}\n`);
}

void main();
