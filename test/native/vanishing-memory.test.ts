/** Memory of the program that goes away while it is being sent. */

import path from 'node:path';
import t, { type Test } from 'tap';
import { execute } from '../lab/execute';
import { projectRoot } from '../lab/project-root';
import { nodeHeaders } from '../lint/node-headers';
import { libFolder, runNode } from '../unit/support';

const preload = path.join(libFolder, 'preload.js');
const local = { RDMA_NET: 'require', RDMA_NET_TRANSPORTS: 'local' };

/** A server that reads nothing until it is told to, and says how it ended. */
const server = `
  const net = require('node:net');
  const server = net.createServer((socket) => {
    server.close();
    socket.pause();
    let bytes = 0;
    socket.on('data', (data) => (bytes += data.length));
    const say = (end) => console.log(end, bytes < BYTES ? 'in part' : 'whole');
    socket.on('end', () => say('end'));
    socket.on('error', ({ code }) => say(code));
    onAccepted(socket);
  });`;

/** Builds the addon of foreign_memory.c; false when it cannot be built here, which fails in CI. */
async function buildAddon(t: Test, addon: string): Promise<boolean> {
  const headers = nodeHeaders();
  const source = path.join(projectRoot(), 'test', 'native', 'foreign_memory.c');
  const args = ['-shared', '-fPIC', '-Wall', '-Werror', '-isystem', headers ?? '', '-o', addon];
  const compiler = process.env['CC'] ?? 'gcc';
  const { status, stderr } = await execute(compiler, [...args, source], { cwd: projectRoot() });
  if (status === 0) return true;
  if (process.env['CI']) t.fail('the addon does not build', { stderr });
  else t.pass('an addon with memory', { skip: `it does not build: ${stderr}` });
  return false;
}

t.test('a thread may end while memory of an addon is being sent', async (t) => {
  const script = `
    const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');
    const BYTES = 8 << 20;
    if (isMainThread) {
      let accepted;
      const onAccepted = (socket) => (accepted = socket);
      ${server}
      server.listen(0, '127.0.0.1', () => {
        const worker = new Worker(__filename, { workerData: server.address().port });
        worker.on('message', () => {
          void worker.terminate();
          accepted.resume();
        });
      });
    } else {
      const client = require('node:net').connect(workerData, '127.0.0.1', () => {
        client.write(require('./memory.node')(BYTES));
        setImmediate(() => parentPort.postMessage(client.transport));
      });
    }`;
  const folder = t.testdir({ 'app.js': script });
  if (!(await buildAddon(t, path.join(folder, 'memory.node')))) return;
  const file = path.join(folder, 'app.js');
  t.same(await runNode(['-r', preload, file], local), {
    code: 0,
    stdout: 'ECONNRESET in part\n',
    stderr: '',
  });
});

t.test('an ArrayBuffer may shrink while it is being sent', async (t) => {
  const script = `
    const BYTES = 8 << 20;
    const onAccepted = (socket) => {
      const bytes = new ArrayBuffer(BYTES, { maxByteLength: 2 * BYTES });
      client.on('error', ({ code }) => console.log('client', code));
      client.write(new Uint8Array(bytes));
      setImmediate(() => {
        bytes.resize(0);
        socket.resume();
      });
    };
    ${server}
    let client;
    server.listen(0, '127.0.0.1', () => {
      client = net.connect(server.address().port, '127.0.0.1');
    });`;
  const { code, stdout } = await runNode(['-r', preload, '-e', script], local);
  t.equal(code, 0);
  t.same(stdout.split('\n').sort(), ['', 'client EINVAL', 'end in part']);
});
