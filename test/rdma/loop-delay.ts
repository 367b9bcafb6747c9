/** The event loop goes on while RDMA is busy. */
import t from 'tap';
import { PATIENT, Program } from './program';

const ADDRESS = '10.77.0.1';
/** On the guest's network, and nobody's. */
const NOWHERE = '10.77.0.99';
/** 20 ms on hardware; an emulated processor gets more. */
const BLOCKED_MS_MAX = 50;

export function loopDelayTests(): void {
  void t.test(
    'connecting to an unreachable address does not block the event loop',
    PATIENT,
    async (t) => {
      const server = new Program('echo-server', { args: ['0', '0.0.0.0'] });
      const { port } = await server.says('listening');
      const client = new Program('unreachable', {
        args: [ADDRESS, String(port), NOWHERE],
        env: { RDMA_NET: 'require' },
      });
      t.match(await client.says('warmed'), { transport: 'rdma' });
      const { transport, blockedMs } = await client.says('done');
      t.equal(transport, undefined);
      t.comment(`blocked for at most ${Number(blockedMs).toFixed(1)} ms`);
      t.ok(Number(blockedMs) <= BLOCKED_MS_MAX, `${Number(blockedMs)} ms`);
      await client.end();
      await server.end();
    },
  );
}
