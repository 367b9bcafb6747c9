'use strict';

// An http server whose page /metrics tells in OpenMetrics what rdma-net does in this process, for
// Prometheus and whatever else reads that text. prom-client writes it; the figures are those of
// stats(), which is asked when the page is, and at no other time.
//
//   npx rdma-net run metrics.js 127.0.0.1 8080
//   curl http://127.0.0.1:8080/           # some traffic; that of curl is on TCP
//   curl http://127.0.0.1:8080/metrics
//
// Sockets on TCP are Node's own: they are counted only when they come to that, by reason. stats()
// knows its own thread; a program with workers asks each, and adds a label.

const http = require('node:http');
const { Counter, Gauge, Registry } = require('prom-client');
const { reasons, stats } = require('rdma-net');

/** Adds the metrics to a registry: copy this function, and call it once. */
function addMetrics(registry) {
  const add = (Metric, name, help, labelNames, samplesOf) => {
    new Metric({
      ...{ name: `rdma_net_${name}`, help, labelNames, registers: [registry] },
      collect() {
        // Of what counts, too: rdma-net has counted already.
        this.reset();
        for (const [labels, value] of samplesOf(stats())) this.inc(labels, value);
      },
    });
  };

  const each = (figureOf) => (all) =>
    Object.entries(all.transports).map(([transport, one]) => [{ transport }, figureOf(one)]);
  const gauge = (name, help, figureOf) => add(Gauge, name, help, ['transport'], each(figureOf));
  const counter = (name, help, figureOf) => add(Counter, name, help, ['transport'], each(figureOf));

  gauge('connections', 'Open connections.', (one) => one.connections);
  gauge('listeners', 'Open listeners.', (one) => one.listeners);
  // Shared memory has no queue pairs, registered memory and completions, but what takes their place.
  gauge('queue_pairs', 'Queue pairs, or local ends of connections.', (one) => one.queuePairs);
  gauge('pinned_bytes', 'Registered memory, or what peers share.', (one) => one.pinnedBytes);
  gauge('receive_memory_bytes', 'Memory for receiving.', (one) => one.slabBytes);
  gauge('receive_memory_used_bytes', 'Of this, what is in use.', (one) => one.slabBytesUsed);
  gauge('registrations', 'Buffers registered for sending.', (one) => one.registrations);
  counter('registrations_made_total', 'Registrations made.', (one) => one.registrationsMade);
  counter('wake_ups_total', 'Times the event loop was woken.', (one) => one.wakeUps);
  counter('completions_total', 'Completions, or messages, polled.', (one) => one.completions);
  counter('messages_sent_total', 'Messages sent.', (one) => one.counters.messagesSent);
  counter('messages_received_total', 'Messages received.', (one) => one.counters.messagesReceived);
  counter('work_requests_total', 'Work requests posted.', (one) => one.counters.workRequests);
  counter('credit_stalls_total', 'Waits for the peer.', (one) => one.counters.creditStalls);

  // Both methods together are all bytes.
  const bytes = (name, help, field) =>
    add(Counter, name, help, ['transport', 'method'], ({ transports }) =>
      Object.entries(transports).flatMap(([transport, { counters }]) => [
        [{ transport, method: 'copy' }, counters[`${field}Copied`]],
        [{ transport, method: 'in_place' }, counters[`${field}InPlace`]],
      ]),
    );
  bytes('sent_bytes_total', 'Bytes of streams sent.', 'bytesSent');
  bytes('received_bytes_total', 'Bytes of streams received.', 'bytesReceived');

  // Large writes, which RDMA alone sends from where they are.
  const ofRdma = (name, help, field) =>
    add(Counter, name, help, ['transport'], (all) =>
      'rdma' in all.transports ? [[{ transport: 'rdma' }, all[field]]] : [],
    );
  ofRdma('registration_hits_total', 'Writes from registered memory.', 'registrationHits');
  ofRdma('registration_misses_total', 'Writes copied for want of that.', 'registrationMisses');

  // The list of reasons is closed, and all are there from the beginning, so that the first of a kind
  // is seen as a step from 0.
  add(Counter, 'fallbacks_total', 'Sockets and servers gone to TCP.', ['reason'], (all) =>
    Object.keys(reasons).map((reason) => [{ reason }, all.fallbacks[reason] ?? 0]),
  );
}

const registry = new Registry(Registry.OPENMETRICS_CONTENT_TYPE);
addMetrics(registry);

const [host = '127.0.0.1', port = '8080'] = process.argv.slice(2);
const server = http.createServer(async (request, response) => {
  if (request.url === '/metrics') {
    response.setHeader('content-type', registry.contentType);
    response.end(await registry.metrics());
  } else {
    response.end(`Hello over ${request.socket.transport}\n`);
  }
});
server.listen(Number(port), host, () => {
  console.log(`listening on http://${host}:${server.address().port}`);
});
