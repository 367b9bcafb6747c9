'use strict';

const assert = require('node:assert/strict');
const http = require('node:http');
const https = require('node:https');
const { bodyOf, certificates, checkSame, closing, collect, listening } = require('./exchange');
const { NotThere, sizes } = require('./exchange');

async function answer(request, response) {
  response.setHeader('x-path', request.url);
  response.end(await collect(request));
}

const serveHttp = (place) => listening(http.createServer(answer), place);

async function checkFetch(fetch, url, options) {
  for (const bytes of sizes) {
    const body = bodyOf(bytes);
    const response = await fetch(`${url}/${bytes}`, { method: 'POST', body, ...options });
    assert.equal(response.headers.get('x-path'), `/${bytes}`);
    checkSame(Buffer.from(await response.arrayBuffer()), body);
  }
}

exports.fetch = {
  serve: serveHttp,
  call: ({ address, port }) => checkFetch(fetch, `http://${address}:${port}`),
};

async function serveWebSockets(place, server = http.createServer()) {
  const { WebSocketServer } = require('ws');
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket) => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  });
  const { port } = await listening(server, place);
  return { port, stop: () => closing(server) };
}

/** The interface of browsers, as Node and undici have it. */
async function checkWebSocket(WebSocket, { address, port }) {
  await converse(new WebSocket(`ws://${address}:${port}/`));
}

async function converse(socket) {
  socket.binaryType = 'arraybuffer';
  const next = (name) =>
    new Promise((resolve, reject) => {
      socket.addEventListener(name, resolve, { once: true });
      socket.addEventListener('error', ({ error }) => reject(error ?? new Error('failed')), {
        once: true,
      });
    });
  await next('open');
  const body = bodyOf(300_000);
  socket.send(body);
  checkSame(Buffer.from((await next('message')).data), body);
  socket.send('text');
  assert.equal((await next('message')).data, 'text');
  socket.close();
  await next('close');
}

exports.webSocket = {
  serve: (place) => serveWebSockets(place),
  async call(place) {
    if (typeof WebSocket !== 'function') throw new NotThere('this Node has no global WebSocket');
    await checkWebSocket(WebSocket, place);
  },
};

exports.undici = {
  serve: serveHttp,
  async call({ address, port }) {
    const undici = require('undici');
    const dispatcher = new undici.Agent();
    const headers = { 'content-type': 'application/octet-stream' };
    await checkFetch(undici.fetch, `http://${address}:${port}`, { dispatcher, headers });
    await dispatcher.close();
    const client = new undici.Client(`http://${address}:${port}`, { pipelining: 4 });
    const paths = await Promise.all(
      ['/1', '/2', '/3', '/4'].map(async (path) => {
        const { headers, body } = await client.request({ path, method: 'GET' });
        await body.dump();
        return headers['x-path'];
      }),
    );
    assert.deepEqual(paths, ['/1', '/2', '/3', '/4']);
    await client.close();
  },
};

exports.undiciSecure = {
  serve: (place) => listening(https.createServer(certificates(place).server, answer), place),
  async call(place) {
    const undici = require('undici');
    const connect = { ca: certificates(place).ca, servername: 'one.test' };
    const dispatcher = new undici.Agent({ connect });
    await checkFetch(undici.fetch, `https://${place.address}:${place.port}`, { dispatcher });
    await dispatcher.close();
  },
};

exports.undiciWebSocket = {
  serve: serveWebSockets,
  call: (place) => checkWebSocket(require('undici').WebSocket, place),
};

exports.ws = {
  serve: serveWebSockets,
  call: (place) => checkWebSocket(require('ws').WebSocket, place),
};

exports.wsSecure = {
  serve: (place) => serveWebSockets(place, https.createServer(certificates(place).server)),
  call(place) {
    const { WebSocket } = require('ws');
    const options = { ca: certificates(place).ca, servername: 'one.test' };
    return converse(new WebSocket(`wss://${place.address}:${place.port}/`, options));
  },
};

async function callWithBytes({ address, port }) {
  const headers = { 'content-type': 'application/octet-stream' };
  await checkFetch(fetch, `http://${address}:${port}`, { headers });
}

exports.express = {
  async serve(place) {
    const express = require('express');
    const app = express();
    app.all('/:bytes', express.raw({ limit: '1mb' }), (request, response) => {
      response.set('x-path', request.path).send(request.body);
    });
    return listening(http.createServer(app), place);
  },
  call: callWithBytes,
};

exports.fastify = {
  async serve({ address }) {
    const app = require('fastify')();
    const parse = { parseAs: 'buffer' };
    app.addContentTypeParser('*', parse, (request, body, done) => done(null, body));
    app.post('/:bytes', (request, reply) => {
      reply.header('x-path', request.url).send(request.body);
    });
    await app.listen({ port: 0, host: address });
    return { port: app.server.address().port, stop: () => app.close() };
  },
  call: callWithBytes,
};

exports.autocannon = {
  serve: serveHttp,
  async call({ address, port }) {
    const autocannon = require('autocannon');
    const options = { connections: 2, amount: 40, timeout: 100 };
    const result = await autocannon({ url: `http://${address}:${port}/`, ...options });
    assert.deepEqual([result['2xx'], result.errors, result.timeouts], [40, 0, 0]);
  },
};
