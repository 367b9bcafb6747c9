'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const http = require('node:http');
const https = require('node:https');
const net = require('node:net');
const { certificates, checkEcho, checkSame, collect, listening, sizes } = require('./exchange');
const { bodyOf } = require('./exchange');

async function answer(request, response) {
  const body = await collect(request);
  response.setHeader('x-path', request.url);
  response.end(body);
}

async function post(module, options, bytes) {
  const body = bodyOf(bytes);
  const request = module.request({ ...options, method: 'POST', path: `/${bytes}` });
  request.end(body);
  const [response] = await once(request, 'response');
  checkSame(await collect(response), body);
  assert.equal(response.headers['x-path'], `/${bytes}`);
  return request;
}

async function callWithAgent(module, options) {
  const agent = new module.Agent({ keepAlive: true, maxSockets: 2 });
  try {
    for (const bytes of sizes) await post(module, { ...options, agent }, bytes);
    const request = await post(module, { ...options, agent }, 10);
    assert.ok(request.reusedSocket, 'the connection is kept alive and used again');
    await Promise.all([1, 2, 3, 4].map((bytes) => post(module, { ...options, agent }, bytes)));
  } finally {
    agent.destroy();
  }
}

exports.agent = {
  serve: (place) => listening(http.createServer(answer), place),
  call: ({ address, port }) => callWithAgent(http, { host: address, port }),
};

exports.httpsAgent = {
  serve: (place) => listening(https.createServer(certificates(place).server, answer), place),
  call(place) {
    const { address, port } = place;
    const { ca } = certificates(place);
    return callWithAgent(https, { host: address, port, ca, servername: 'one.test' });
  },
};

exports.pipelining = {
  serve: (place) => listening(http.createServer(answer), place),
  async call({ address, port }) {
    const socket = net.connect(port, address);
    const close = 'connection: close\r\n';
    const requests = ['/1', '/2', '/3'].map(
      (path) => `GET ${path} HTTP/1.1\r\nhost: x\r\n${path === '/3' ? close : ''}\r\n`,
    );
    socket.write(requests.join(''));
    const text = (await collect(socket)).toString();
    const paths = [...text.matchAll(/x-path: (\S+)/g)].map((match) => match[1]);
    assert.deepEqual(paths, ['/1', '/2', '/3']);
  },
};

exports.upgrade = {
  serve(place) {
    const server = http.createServer(answer);
    server.on('upgrade', (request, socket, head) => {
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n',
      );
      if (head.length > 0) socket.write(head);
      socket.pipe(socket);
    });
    return listening(server, place);
  },
  async call({ address, port }) {
    const headers = { connection: 'upgrade', upgrade: 'echo' };
    const request = http.request({ host: address, port, headers });
    request.end();
    const [response, socket] = await once(request, 'upgrade');
    assert.equal(response.statusCode, 101);
    await checkEcho(socket, 300_000);
  },
};
