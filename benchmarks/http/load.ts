/**
 * Loads an http server with autocannon, after a second to warm up, and prints one line of JSON, a
 * {@link LoadResult}. Under the preload it goes over RDMA where it can; it contains no mention of it
 * but for counting.
 *
 *     node --require rdma-net/preload dist/benchmarks/http/load.js URL CONNECTIONS SECONDS
 */
import autocannon from 'autocannon';
import type { Histogram } from 'hdr-histogram-js';
import { subscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import http from 'node:http';
import type { Socket } from 'node:net';
import { histograms } from '../support/histograms';

/** What one run of autocannon gave. */
export interface LoadResult {
  url: string;
  connections: number;
  seconds: number;
  requestsPerSecond: number;
  latencyP50Ms: number;
  latencyP99Ms: number;
  bytesPerSecond: number;
  /** Errors, timeouts and answers that were not 2xx. */
  failures: number;
  /** How many of autocannon's sockets said that they run on what. */
  transports: Record<string, number>;
}

/** Counts what the sockets of this process report of themselves once they are connected. */
function countTransports(): Record<string, number> {
  const transports: Record<string, number> = {};
  subscribe('net.client.socket', (message) => {
    const { socket } = message as { socket: Socket };
    socket.once('connect', () => {
      const transport = socket.transport ?? 'tcp';
      transports[transport] = (transports[transport] ?? 0) + 1;
    });
  });
  return transports;
}

/** Asks for the same over one connection for a second. */
async function warmUp(url: string): Promise<void> {
  const agent = new http.Agent({ keepAlive: true });
  const until = performance.now() + 1000;
  while (performance.now() < until) {
    const [response] = (await once(http.get(url, { agent }), 'response')) as [http.IncomingMessage];
    response.resume();
    await once(response, 'end');
  }
  agent.destroy();
}

async function main(): Promise<void> {
  const [url = '', connections = '10', seconds = '5'] = process.argv.slice(2);
  await warmUp(url);
  const transports = countTransports();
  const options: autocannon.Options & { histograms: Record<string, Histogram> } = {
    url,
    connections: Number(connections),
    duration: Number(seconds),
    timeout: 60,
    // Taken by lib/run.js of autocannon; its types do not know it.
    histograms: histograms(),
  };
  const result = await autocannon(options);
  const load: LoadResult = {
    url,
    connections: Number(connections),
    seconds: result.duration,
    requestsPerSecond: result.requests.average,
    latencyP50Ms: result.latency.p50,
    latencyP99Ms: result.latency.p99,
    bytesPerSecond: result.throughput.average,
    failures: result.errors + result.timeouts + result.non2xx,
    transports,
  };
  process.stdout.write(`${JSON.stringify(load)}\n`);
}

void main();
