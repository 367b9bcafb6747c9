'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const http2 = require('node:http2');
const { certificates, checkEcho, collect, listening, sizes } = require('./exchange');

function answer(stream, headers) {
  stream.respond({ ':status': 200, 'x-path': headers[':path'] });
  if (headers[':path'] === '/short') stream.end('short');
  else if (headers[':path'] !== '/push') stream.pipe(stream);
  else {
    stream.pushStream({ ':path': '/pushed' }, (error, pushed) => {
      if (error) return stream.destroy(error);
      pushed.respond({ ':status': 200 });
      pushed.end('pushed');
      stream.end();
    });
  }
}

async function talk(session) {
  await Promise.all(
    sizes.map(async (bytes) => {
      const stream = session.request({ ':method': 'POST', ':path': `/${bytes}` });
      const [[headers]] = await Promise.all([once(stream, 'response'), checkEcho(stream, bytes)]);
      assert.equal(headers['x-path'], `/${bytes}`);
    }),
  );
  // Of what is read at once, too, the program hears step by step: a stream that nobody has begun to
  // read when its end is heard of would be thrown away.
  const short = session.request({ ':path': '/short' });
  await once(short, 'response');
  assert.equal(short.readableLength, 0, 'the headers are heard of before the body');
  assert.equal((await collect(short)).toString(), 'short');
  const pushing = session.request({ ':path': '/push' });
  pushing.resume();
  const [pushed] = await once(session, 'stream');
  assert.equal((await collect(pushed)).toString(), 'pushed');
  await new Promise((resolve, reject) => {
    session.ping((error) => (error ? reject(error) : resolve()));
  });
  session.close();
  await once(session, 'close');
}

exports.clear = {
  serve: (place) => listening(http2.createServer().on('stream', answer), place),
  call: ({ address, port }) => talk(http2.connect(`http://${address}:${port}`)),
};

exports.secure = {
  serve(place) {
    const server = http2.createSecureServer(certificates(place).server);
    return listening(server.on('stream', answer), place);
  },
  call(place) {
    const { address, port } = place;
    const options = { ca: certificates(place).ca, servername: 'one.test' };
    return talk(http2.connect(`https://${address}:${port}`, options));
  },
};
