'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const net = require('node:net');
const tls = require('node:tls');
const { certificates, checkAnswer, checkEcho, listening, sizes } = require('./exchange');

const echo = (socket) => {
  socket.on('error', () => socket.destroy());
  socket.pipe(socket);
};

function serveWith(options, onSocket = echo) {
  return (place) => {
    const all = { ...certificates(place).server, ...options?.(certificates(place)) };
    return listening(tls.createServer(all, onSocket), place);
  };
}

/** Connects, and resolves once the handshake is done. */
async function secured(place, options) {
  const { ca } = certificates(place);
  const where = options?.socket ? {} : { port: place.port, host: place.address };
  const socket = tls.connect({ ...where, ca, servername: 'one.test', ...options });
  await once(socket, 'secureConnect');
  assert.ok(socket.authorized);
  return socket;
}

exports.plain = {
  serve: serveWith(),
  async call(place) {
    for (const bytes of sizes) await checkEcho(await secured(place), bytes);
  },
};

exports.sniAndAlpn = {
  serve: serveWith(({ server, other }) => ({
    ALPNProtocols: ['second', 'third'],
    SNICallback: (name, done) => {
      done(null, tls.createSecureContext(name === 'two.test' ? other : server));
    },
  })),
  async call(place) {
    for (const name of ['one.test', 'two.test']) {
      const options = { servername: name, ALPNProtocols: ['first', 'second'] };
      const socket = await secured(place, options);
      assert.equal(socket.getPeerCertificate().subject.CN, name);
      assert.equal(socket.alpnProtocol, 'second');
      await checkEcho(socket, 1000);
    }
  },
};

async function resume(place, version) {
  const options = { minVersion: version, maxVersion: version };
  const { ca } = certificates(place);
  const first = tls.connect(place.port, place.address, { ca, servername: 'one.test', ...options });
  // With TLS 1.2 it comes with the handshake, with TLS 1.3 later.
  const session = once(first, 'session');
  await once(first, 'secureConnect');
  await checkAnswer(first, 1000);
  first.end();
  await once(first, 'close');
  assert.ok(!first.isSessionReused());
  const second = await secured(place, { ...options, session: (await session)[0] });
  assert.ok(second.isSessionReused(), `the session of ${version} is resumed`);
  await checkEcho(second, 1000);
}

exports.resumption = {
  serve: serveWith(),
  async call(place) {
    await resume(place, 'TLSv1.2');
    await resume(place, 'TLSv1.3');
  },
};

exports.clientCertificates = {
  serve: serveWith(
    ({ ca }) => ({ ca, requestCert: true, rejectUnauthorized: true }),
    (socket) => {
      socket.write(`${socket.getPeerCertificate().subject.CN}\n`);
      echo(socket);
    },
  ),
  async call(place) {
    const socket = await secured(place, certificates(place).client);
    const [name] = await once(socket, 'data');
    assert.equal(name.toString(), 'client\n');
    await checkEcho(socket, 1000);
    // Refused for what the server finds, which TLS 1.3 tells after the handshake.
    const stranger = tls.connect({
      ...{ port: place.port, host: place.address },
      ...{ ca: certificates(place).ca, servername: 'one.test' },
    });
    const [error] = await once(stranger, 'error');
    assert.match(`${error.code}`, /CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE|ECONNRESET/);
  },
};

exports.renegotiation = {
  serve: serveWith(() => ({ maxVersion: 'TLSv1.2' })),
  async call(place) {
    const socket = await secured(place);
    await checkAnswer(socket, 1000);
    await new Promise((resolve, reject) => {
      socket.renegotiate({}, (error) => (error ? reject(error) : resolve()));
    });
    await checkEcho(socket, 1000);
  },
};

exports.overConnected = {
  serve: serveWith(),
  async call(place) {
    const socket = net.connect(place.port, place.address);
    await once(socket, 'connect');
    await checkEcho(await secured(place, { socket }), 300_000);
  },
};

exports.overConnecting = {
  serve: serveWith(),
  async call(place) {
    const socket = net.connect(place.port, place.address);
    await checkEcho(await secured(place, { socket }), 300_000);
  },
};

exports.startTls = {
  serve(place) {
    const { server } = certificates(place);
    const plain = net.createServer((socket) => {
      socket.write('ready\n');
      socket.once('data', () => {
        socket.write('go\n', () => {
          echo(new tls.TLSSocket(socket, { isServer: true, ...server }));
        });
      });
    });
    return listening(plain, place);
  },
  async call(place) {
    const socket = net.connect(place.port, place.address);
    assert.equal((await once(socket, 'data'))[0].toString(), 'ready\n');
    socket.write('STARTTLS\n');
    assert.equal((await once(socket, 'data'))[0].toString(), 'go\n');
    await checkEcho(await secured(place, { socket }), 300_000);
  },
};

exports.tlsInTls = {
  serve(place) {
    const options = certificates(place).server;
    const server = tls.createServer(options, (outer) => {
      outer.on('error', () => outer.destroy());
      echo(new tls.TLSSocket(outer, { isServer: true, ...options }));
    });
    return listening(server, place);
  },
  async call(place) {
    const outer = await secured(place);
    await checkEcho(await secured(place, { socket: outer }), 100_000);
  },
};
