'use strict';

const assert = require('node:assert/strict');
const { bodyOf, certificates, checkSame } = require('./exchange');

const asIs = (value) => value;
const method = (path, isStream) => ({
  path,
  requestStream: isStream,
  responseStream: isStream,
  requestSerialize: asIs,
  requestDeserialize: asIs,
  responseSerialize: asIs,
  responseDeserialize: asIs,
});
const service = { echo: method('/Echo/Echo', false), stream: method('/Echo/Stream', true) };

async function serve({ address }, credentialsOf) {
  const grpc = require('@grpc/grpc-js');
  const server = new grpc.Server();
  server.addService(service, {
    echo: (call, done) => done(null, call.request),
    stream: (call) => call.on('data', (data) => call.write(data)).on('end', () => call.end()),
  });
  const credentials = credentialsOf(grpc.ServerCredentials);
  const port = await new Promise((resolve, reject) => {
    server.bindAsync(`${address}:0`, credentials, (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  const stop = () => new Promise((resolve) => server.tryShutdown(() => resolve()));
  return { port, stop };
}

async function call({ address, port }, credentialsOf, options) {
  const grpc = require('@grpc/grpc-js');
  const Client = grpc.makeGenericClientConstructor(service, 'Echo');
  const client = new Client(`${address}:${port}`, credentialsOf(grpc.credentials), options);
  const body = bodyOf(300_000);
  const answer = await new Promise((resolve, reject) => {
    client.echo(body, (error, value) => (error ? reject(error) : resolve(value)));
  });
  checkSame(answer, body);
  const stream = client.stream();
  for (const text of ['one', 'two', 'three']) stream.write(Buffer.from(text));
  stream.end();
  const texts = [];
  for await (const chunk of stream) texts.push(chunk.toString());
  assert.deepEqual(texts, ['one', 'two', 'three']);
  client.close();
}

exports.clear = {
  serve: (place) => serve(place, (credentials) => credentials.createInsecure()),
  call: (place) => call(place, (credentials) => credentials.createInsecure(), {}),
};

exports.secure = {
  serve(place) {
    const { key, cert } = certificates(place).server;
    const pair = { private_key: key, cert_chain: cert };
    return serve(place, (credentials) => credentials.createSsl(null, [pair]));
  },
  call(place) {
    const { ca } = certificates(place);
    const options = { 'grpc.ssl_target_name_override': 'one.test' };
    return call(place, (credentials) => credentials.createSsl(ca), options);
  },
};
