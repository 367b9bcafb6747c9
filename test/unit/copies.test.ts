/** Two copies of the package in one process, as from npx and from the program's own folder. */

import { cpSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { libFolder, runNode } from './support';

const preload = path.join(libFolder, 'preload.js');

const script = `
  const net = require('node:net');
  const own = require('./copy/dist/lib');
  const server = own.createServer((socket) => socket.end('hello'));
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    const tell = (maker, then) => {
      const socket = maker.connect(port, '127.0.0.1', () => {
        console.log(socket.transport, own.info(socket).transport, own.info(socket).device);
      });
      socket.resume().on('close', then);
    };
    tell(net, () => tell(own, () => server.close()));
  });`;

for (const mode of ['prefer', 'require']) {
  t.test(`with mode ${mode} one copy serves the sockets of both, and warns`, async (t) => {
    const folder = t.testdir({ 'app.js': script });
    const copy = path.join(folder, 'copy');
    cpSync(libFolder, path.join(copy, 'dist', 'lib'), { recursive: true });
    const env = { RDMA_NET: mode, RDMA_NET_TRANSPORTS: 'local' };
    const result = await runNode(['-r', preload, path.join(folder, 'app.js')], env);
    t.match(result, { code: 0, stdout: 'local local shm\nlocal local shm\n' });
    const warnings = result.stderr.match(/RDMA_NET_TWICE/g);
    t.equal(warnings?.length, 1);
    t.match(result.stderr, `that in ${path.join(libFolder, '..', '..')} serves all sockets`);
    t.match(result.stderr, `the one in ${copy} have no effect`);
  });
}
