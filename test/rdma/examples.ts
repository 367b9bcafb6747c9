/** Some of examples/, over RDMA: the others see no difference to shared memory. */
import { existsSync } from 'node:fs';
import t from 'tap';
import { Example } from '../examples/example';
import { fileCopyTests, httpServerTests } from '../examples/servers';
import { rsocketsPeer } from '../examples/setup';
import type { Place } from './place';
import { PATIENT } from './program';

function rsocketsPeerTests({ address, transport }: Place): void {
  if (!existsSync(rsocketsPeer)) {
    // Whoever boots the guest builds it before, and fails in CI when that cannot be done.
    t.pass('rsockets-peer', { skip: `${rsocketsPeer} is missing` });
    return;
  }
  const env = { RDMA_NET: 'require', NODE_DEBUG: 'rdma-net' };
  const options = { env, preload: false };

  void t.test('rsockets-peer.c calls rsockets-peer.js', PATIENT, async (t) => {
    const server = Example.node(t, 'rsockets-peer.js', ['serve', address, '0'], options);
    const [, port = ''] = await server.prints(/listening on .*:(\d+)\n/);
    await server.isReachedOver(transport);
    const client = new Example(t, [rsocketsPeer, 'call', address, port]);
    t.strictSame(await client.ends(), { code: 0, output: 'Hello from C\n', errors: '' });
    await server.prints(/^13 bytes from rsockets over rdma$/m);
    await server.interrupt();
  });

  void t.test('rsockets-peer.js calls rsockets-peer.c', PATIENT, async (t) => {
    const server = new Example(t, [rsocketsPeer, 'serve', address, '7471']);
    await server.prints(/listening/);
    const client = Example.node(t, 'rsockets-peer.js', ['call', address, '7471'], options);
    const { code, output, errors } = await client.ends();
    t.equal(code, 0, 'it ends well', { errors });
    t.equal(output, 'connected to rsockets over rdma\nHello from JavaScript\n');
    await server.prints(/^22 bytes from a client$/m);
    t.equal((await server.interrupt()).errors, '');
  });
}

export function exampleTests(place: Place): void {
  rsocketsPeerTests(place);
  fileCopyTests(place, PATIENT);
  httpServerTests(place, PATIENT);
}
