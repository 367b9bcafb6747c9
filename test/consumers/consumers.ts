/** The consumers of net that are run under the preload, and how. */

import type { TransportName } from '../../lib/mode';

/** How the two processes of an exchange come to the preload. */
export type Start = 'require' | 'import' | 'options' | 'command' | 'late';

/** A database whose server is no Node program. */
export type DatabaseName = 'redis' | 'postgresql' | 'mariadb';

export interface Consumer {
  readonly name: string;
  /** A file of test/consumers/programs, or one made from it, and what it exports. */
  readonly program: string;
  readonly start: Start;
  readonly database: DatabaseName | undefined;
  /** Why some of its sockets are on TCP where others are not: Node or the package wants it so. */
  readonly onTcp: string | undefined;
}

type Options = Partial<Pick<Consumer, 'start' | 'database' | 'onTcp'>>;

function consumer(name: string, program: string, options: Options = {}): Consumer {
  const { start = 'require', database, onTcp } = options;
  return { name, program, start, database, onTcp };
}

/** Where the bundle of programs/bundled.js is put. */
export const bundle = '../../../build/consumers/bundle.js';

export const consumers: readonly Consumer[] = [
  consumer('net', 'net.js#echo'),
  consumer('http, Agent with keep-alive', 'http.js#agent'),
  consumer('http, pipelining', 'http.js#pipelining'),
  consumer('http, upgrade', 'http.js#upgrade'),
  consumer('https, Agent with keep-alive', 'http.js#httpsAgent'),
  consumer('http2', 'http2.js#clear'),
  consumer('http2 over TLS', 'http2.js#secure'),
  consumer('fetch', 'web.js#fetch'),
  consumer('WebSocket', 'web.js#webSocket'),
  consumer('tls', 'tls.js#plain'),
  consumer('tls, SNI and ALPN', 'tls.js#sniAndAlpn'),
  consumer('tls, resumed session', 'tls.js#resumption'),
  consumer('tls, client certificate', 'tls.js#clientCertificates'),
  consumer('tls, renegotiation', 'tls.js#renegotiation'),
  consumer('tls, `socket` that is connected', 'tls.js#overConnected'),
  consumer('tls, `socket` that connects', 'tls.js#overConnecting', {
    onTcp: 'tls-while-connecting',
  }),
  consumer('tls, STARTTLS', 'tls.js#startTls'),
  consumer('tls in tls', 'tls.js#tlsInTls'),
  consumer('undici', 'web.js#undici'),
  consumer('undici over TLS', 'web.js#undiciSecure'),
  consumer('undici, WebSocket', 'web.js#undiciWebSocket'),
  consumer('ws', 'web.js#ws'),
  consumer('ws over TLS', 'web.js#wsSecure'),
  consumer('express', 'web.js#express'),
  consumer('fastify', 'web.js#fastify'),
  consumer('autocannon', 'web.js#autocannon'),
  consumer('@grpc/grpc-js', 'grpc.js#clear'),
  consumer('@grpc/grpc-js over TLS', 'grpc.js#secure'),
  consumer('ioredis', 'databases.js#ioredis', { database: 'redis' }),
  consumer('pg', 'databases.js#pg', { database: 'postgresql' }),
  consumer('mysql2', 'databases.js#mysql2', { database: 'mariadb' }),
  consumer('mongodb', 'mongodb.js#mongodb'),
  consumer('ESM named imports', 'esm.mjs#named'),
  consumer('bundle of undici and express', `${bundle}#bundle`),
  consumer('worker_threads', 'elsewhere.js#thread'),
  consumer('cluster', 'cluster.js#http'),
  consumer('loaded with `--import`', 'net.js#echo', { start: 'import' }),
  consumer('loaded with `NODE_OPTIONS`', 'net.js#echo', { start: 'options' }),
  consumer('child_process', 'elsewhere.js#child', { start: 'options' }),
  consumer('loaded with `rdma-net run`', 'net.js#echo', { start: 'command' }),
  consumer('references captured before', 'captured.js#early', { start: 'late' }),
];

/** The transports in the order of the matrix. */
export const transports: readonly TransportName[] = ['tcp', 'local', 'rdma'];
