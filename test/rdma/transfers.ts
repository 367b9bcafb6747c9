/** Large transfers, many connections, and what is left of them. */
import t from 'tap';
import { excess, type Place } from './place';
import { PATIENT, Program } from './program';

const MEBIBYTE = 1 << 20;

export function transferTests(place: Place): void {
  const { address, transport, wildcard } = place;

  void t.test(
    '256 MiB go each way at once through readers that pause, unchanged',
    { timeout: 400_000 },
    async (t) => {
      const bytes = 256 * MEBIBYTE;
      const server = new Program('duplex', { args: ['server', address, '0', String(bytes)] });
      const { port } = await server.says('listening');
      const client = new Program('duplex', {
        args: ['client', address, String(port), String(bytes)],
      });
      for (const [here, there] of [
        [server, client],
        [client, server],
      ] as const) {
        t.equal((await here.says('connected')).transport, transport);
        const sent = await here.says('sent');
        const received = await there.says('received');
        t.equal(received.bytes, bytes);
        t.equal(received.digest, sent.digest);
        t.ok(Number(received.pauses) >= bytes / (8 * MEBIBYTE) - 1, 'the reader did pause');
      }
      const { counters } = await client.says('closed');
      // What is on TCP counts nothing.
      if (transport !== 'tcp') t.match(counters, { bytesReceived: bytes, bytesSent: bytes });
      for (const program of [client, server]) t.match(await program.end(), { code: 0, stderr: '' });
    },
  );

  void t.test(
    '100 connections are opened, used and closed, and nothing is left',
    PATIENT,
    async (t) => {
      const server = new Program('echo-server', { args: ['0', wildcard] });
      const { port } = await server.says('listening');
      const client = new Program('client');
      await client.says('ready');
      const pids = [server.pid, client.pid];
      // The first connection brings what stays.
      client.tell(`connect ${address} ${port as number}`);
      t.match(await client.says('connected'), { transport });
      await server.says('closed');
      const idle = await place.idle(pids);

      client.tell(`open ${address} ${port as number} 100`);
      const { transports } = await client.says('opened');
      t.same(transports, Array<string>(100).fill(transport));
      if (transport === 'rdma') t.match(await place.held(pids), { queuePairs: 200 });

      client.tell('close');
      await client.says('all-closed');
      await server.says('closed', 100);
      server.tell('close');
      await server.says('server-closed');
      t.same(await excess(place, pids, idle), {});
      for (const program of [client, server]) t.match(await program.end(), { code: 0, stderr: '' });
    },
  );

  // The kernel ends what a killed process had open, as if it had done so itself.
  if (transport === 'tcp') return;

  void t.test('a peer that is killed is an ECONNRESET, and others carry on', PATIENT, async (t) => {
    const server = new Program('echo-server', { args: ['0', wildcard] });
    const { port } = await server.says('listening');
    const [victim, other] = [new Program('client'), new Program('client')];
    for (const program of [victim, other]) {
      await program.says('ready');
      program.tell(`open ${address} ${port as number} 1`);
      await program.says('opened');
    }
    victim.kill('SIGKILL');
    t.match(await server.says('error'), { code: 'ECONNRESET' });
    other.tell(`connect ${address} ${port as number}`);
    t.match(await other.says('connected'), { transport });
    other.tell('close');
    await other.says('all-closed');
    await other.end();
    t.match(await server.end(), { code: 0, stderr: '' });
  });
}
