/**
 * An http server of one body, the same at each request. Says on what each response went, and in
 * `body` its digest. Arguments: address, bytes.
 */
import { createHash } from 'node:crypto';
import http from 'node:http';
import { info } from '../../../lib/index';
import { listen, say, sayWhenListening } from './said';

const [address = '', bytes] = process.argv.slice(2);
const PIECE_BYTES = 256 * 1024;

/** Different at every position, so that pieces lost, doubled or exchanged change the digest. */
const body = Buffer.alloc(Number(bytes), 'rdma-net');
for (let position = 0; position < body.length; position += 4096) {
  body.writeUInt32LE(position, position);
}

const server = http.createServer((request, response) => {
  const { socket } = request;
  const { transport } = socket;
  const { peer } = info(socket);
  response.setHeader('content-length', body.length);
  let position = 0;
  const more = (): void => {
    while (position < body.length) {
      const piece = body.subarray(position, position + PIECE_BYTES);
      position += piece.length;
      if (!response.write(piece)) {
        response.once('drain', more);
        return;
      }
    }
    response.end();
  };
  response.on('close', () =>
    say('response', { transport, peer, whole: response.writableFinished }),
  );
  more();
});

sayWhenListening(server);
server.listen(0, address, () => {
  say('body', { digest: createHash('sha256').update(body).digest('hex') });
});

listen(
  () => undefined,
  () => {
    server.close();
    server.closeAllConnections();
  },
);
