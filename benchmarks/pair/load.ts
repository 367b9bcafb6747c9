/** Requests to an http server, by autocannon or over http2: one at a time on each connection. */
import autocannon from 'autocannon';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { histograms } from '../support/histograms';
import { loadHttp2 } from './http2-load';
import { LoadWindow } from './load-window';
import type { Percentiles } from '../../lib/statistics';

/** What is asked for. */
export interface Load {
  url: string;
  /** Whether `url` is to be asked for over http2; autocannon has none. */
  http2?: boolean;
  connections: number;
  seconds: number;
  /** Bytes of each body. */
  bytes: number;
}

/** What came of a {@link Load}. */
export interface Loaded {
  /** In which answers count: see {@link LoadWindow}. */
  seconds: number;
  /** Answered in these seconds. */
  requests: number;
  /** Answered since all connections were there. */
  requestsInAll: number;
  latency: Percentiles;
  /** Errors, timeouts, answers that were not 2xx, and those that were too short. */
  failures: number;
  /** The first of them. */
  problem?: string;
}

/** Milliseconds between autocannon's looks at whether it is to stop. */
const LOOK_MS = 50;
const SECONDS_MAX = 600;

/**
 * Clients that ask for a greeting until all of them are connected, and only then for what is
 * measured: those that come first would keep the others waiting, with large bodies for long.
 */
class Clients {
  readonly #path: string;
  readonly #window: LoadWindow;
  readonly #all: autocannon.Client[] = [];
  /** Those whose next answer is still a greeting. */
  readonly #greeted = new Set<autocannon.Client>();
  #hasBegun = false;

  constructor(path: string, window: LoadWindow) {
    this.#path = path;
    this.#window = window;
  }

  add(client: autocannon.Client): void {
    this.#all.push(client);
    this.#greeted.add(client);
    // It makes its connection right after this.
    process.nextTick(() => {
      const { conn } = client as autocannon.Client & { conn: Socket };
      conn.once(conn instanceof TLSSocket ? 'secureConnect' : 'connect', () => {
        if (this.#window.connected() === 'last') this.#begin();
      });
    });
  }

  /** Told of each answer, says whether it is only a greeting. */
  isGreeting(client: autocannon.Client): boolean {
    if (!this.#hasBegun) return true;
    return this.#greeted.delete(client);
  }

  #begin(): void {
    this.#hasBegun = true;
    for (const client of this.#all) client.setRequests([{ path: this.#path }]);
  }
}

async function loadWithAutocannon({ url, connections, seconds, bytes }: Load): Promise<Loaded> {
  let short = 0;
  let problem: string | undefined;
  const window = new LoadWindow(connections, seconds);
  const { origin, pathname } = new URL(url);
  const clients = new Clients(pathname, window);
  const options = {
    ...{ connections, duration: SECONDS_MAX, timeout: 60, sampleInt: LOOK_MS },
    url: `${origin}/`,
    histograms: histograms(),
    setupClient: (client: autocannon.Client) => clients.add(client),
  };
  const result = await new Promise<autocannon.Result>((resolve, reject) => {
    const tracker = autocannon(options, (error: unknown, ended) => {
      if (error instanceof Error) reject(error);
      else resolve(ended);
    }) as autocannon.Instance & { stop(): void };
    tracker.on('response', (client, _status, responseBytes, milliseconds) => {
      if (clients.isGreeting(client)) return;
      if (responseBytes < bytes) short++;
      if (window.answered(milliseconds) === 'over') tracker.stop();
    });
    // Without this a server that is gone would be asked for as long as autocannon may last.
    tracker.on('reqError', (error) => {
      problem ??= error instanceof Error ? error.message : String(error);
      tracker.stop();
    });
  });
  const failures = result.errors + result.timeouts + result.non2xx + short;
  if (short > 0) problem ??= `${short} answers were too short`;
  return { ...window.result(), failures, ...(problem === undefined ? {} : { problem }) };
}

export function loadServer(load: Load): Promise<Loaded> {
  return load.http2 === true ? loadHttp2(load) : loadWithAutocannon(load);
}
