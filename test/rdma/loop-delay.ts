/** The event loop goes on while connections are made. */
import t from 'tap';
import type { Place } from './place';
import { PATIENT, Program } from './program';

/** 20 ms on hardware; an emulated processor gets more. */
const BLOCKED_MS_MAX = 50;

export function loopDelayTests({ address, transport, nowhere }: Place): void {
  void t.test(
    'connecting to an unreachable address does not block the event loop',
    PATIENT,
    async (t) => {
      const server = new Program('echo-server', { args: ['0', address] });
      const { port } = await server.says('listening');
      const client = new Program('unreachable', {
        args: [address, String(port), ...nowhere],
        env: { RDMA_NET: transport === 'tcp' ? 'off' : 'require' },
      });
      t.match(await client.says('warmed'), { transport });
      const tcp: number[] = [];
      const rdma: number[] = [];
      for (let i = 0; i < nowhere.length; i++) {
        const { tcpMs, rdmaMs } = await client.says('tried', i);
        tcp.push(Number(tcpMs));
        rdma.push(Number(rdmaMs));
      }
      const show = (all: number[]): string => all.map((ms) => ms.toFixed(1)).join(', ');
      t.comment(`blocked for at most ${show(rdma)} ms; connecting over TCP ${show(tcp)} ms`);
      // A busy host stops the guest now and then, which plain TCP sees too. What we did ourselves
      // would show every time.
      t.ok(Math.min(...rdma) <= BLOCKED_MS_MAX + Math.min(...tcp));
      await client.end();
      await server.end();
    },
  );
}
