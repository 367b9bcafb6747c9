/** Large transfers, many connections, and what is left of them. */
import t from 'tap';
import { PATIENT, Program } from './program';
import { resourcesBecome } from './resources';

const ADDRESS = '10.77.0.1';
const MEBIBYTE = 1 << 20;

export function transferTests(): void {
  void t.test(
    '256 MiB go each way at once through readers that pause, unchanged',
    { timeout: 400_000 },
    async (t) => {
      const bytes = 256 * MEBIBYTE;
      const server = new Program('duplex', { args: ['server', ADDRESS, '0', String(bytes)] });
      const { port } = await server.says('listening');
      const client = new Program('duplex', {
        args: ['client', ADDRESS, String(port), String(bytes)],
      });
      for (const [here, there] of [
        [server, client],
        [client, server],
      ] as const) {
        t.equal((await here.says('connected')).transport, 'rdma');
        const sent = await here.says('sent');
        const received = await there.says('received');
        t.equal(received.bytes, bytes);
        t.equal(received.digest, sent.digest);
        t.ok(Number(received.pauses) >= bytes / (8 * MEBIBYTE) - 1, 'the reader did pause');
      }
      const { counters } = await client.says('closed');
      t.match(counters, { bytesReceived: bytes, bytesSent: bytes });
      for (const program of [client, server]) t.match(await program.end(), { code: 0, stderr: '' });
    },
  );

  void t.test(
    '100 connections are opened, used and closed, and nothing is left',
    PATIENT,
    async (t) => {
      const server = new Program('echo-server', { args: ['0', '0.0.0.0'] });
      const { port } = await server.says('listening');
      const client = new Program('client');
      await client.says('ready');
      const pids = [server.pid, client.pid];

      client.tell(`open ${ADDRESS} ${port as number} 100`);
      const { transports } = await client.says('opened');
      t.same(transports, Array<string>(100).fill('rdma'));
      const used = await resourcesBecome(pids, () => true);
      t.equal(used.queuePairs, 200);
      t.ok(used.memoryRegions >= 200);

      client.tell('close');
      await client.says('all-closed');
      await server.says('closed', 99);
      server.tell('close');
      await server.says('server-closed');
      const left = await resourcesBecome(
        pids,
        ({ queuePairs, memoryRegions, cmIds }) => queuePairs + memoryRegions + cmIds === 0,
      );
      t.same(left, { queuePairs: 0, memoryRegions: 0, cmIds: 0 });
      for (const program of [client, server]) t.match(await program.end(), { code: 0, stderr: '' });
    },
  );

  void t.test('a peer that is killed is an ECONNRESET, and others carry on', PATIENT, async (t) => {
    const server = new Program('echo-server', { args: ['0', '0.0.0.0'] });
    const { port } = await server.says('listening');
    const [victim, other] = [new Program('client'), new Program('client')];
    for (const program of [victim, other]) {
      await program.says('ready');
      program.tell(`open ${ADDRESS} ${port as number} 1`);
      await program.says('opened');
    }
    victim.kill('SIGKILL');
    t.match(await server.says('error'), { code: 'ECONNRESET' });
    other.tell(`connect ${ADDRESS} ${port as number}`);
    t.match(await other.says('connected'), { transport: 'rdma' });
    other.tell('close');
    await other.says('all-closed');
    await other.end();
    t.match(await server.end(), { code: 0, stderr: '' });
  });
}
