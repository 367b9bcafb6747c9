/** setKeepAlive on connections where nothing else happens. */
import t from 'tap';
import { Program, run } from './program';
import { rstreamArguments } from './rstream';

const ADDRESS = '10.77.0.1';
const INTERVAL_MS = 1000;

/** Resolves when a program has said this event so many times more. */
async function saysMore(program: Program, event: string, count: number): Promise<void> {
  await program.says(event, program.all(event).length + count - 1);
}

export function keepaliveTests(): void {
  void t.test(
    'keepalives of a C rsockets peer and to it disturb no data',
    { timeout: 60_000 },
    async (t) => {
      const server = new Program('idle', { args: ['server', ADDRESS] });
      const { port } = await server.says('listening');
      const transfers = { mode: '', options: ['-T', 'b', '-k', '1'], bytes: 10_000 };
      const each = { ...transfers, count: 4, iterations: 2 };
      const peer = run('rstream', ['-s', ADDRESS, ...rstreamArguments(each, port as number)]);
      const connected = await server.says('connected');
      t.match(connected, { transport: 'rdma', peer: 'rsockets' });
      // The peer's own are writes without a message, which only its device hears of.
      server.tell(`keepalive ${INTERVAL_MS}`);
      await saysMore(server, 'sent', 3);
      server.tell('counters');
      t.match(await server.says('counters'), { all: [{ bytesSent: 0, bytesReceived: 16 }] });
      server.tell('release');
      const { code, output } = await peer;
      t.equal(code, 0, `rstream has verified what it got\n${output}`);
      t.match(output, /Keepalive: ON/);
      t.notMatch(output, /verification failed/);
      await server.says('closed');
      t.same(server.all('error'), []);
      t.match(await server.end(), { code: 0, stderr: '' });
    },
  );

  void t.test(
    'an idle connection with setKeepAlive sends keepalives, until it is turned off',
    { timeout: 60_000 },
    async (t) => {
      const server = new Program('idle', { args: ['server', ADDRESS] });
      const listening = await server.says('listening');
      const args = ['client', ADDRESS, String(listening.port)];
      const clients = [new Program('idle', { args }), new Program('idle', { args })] as const;
      for (const client of clients) {
        t.equal((await client.says('connected')).transport, 'rdma');
      }
      await server.says('connected', 1);

      // Each is the other's clock: what one does not say is known when the other has spoken.
      for (const [client, silent] of [clients, [clients[1], clients[0]]] as const) {
        const before = silent.all('sent').length;
        const answered = client.all('completed').length;
        client.tell(`keepalive ${INTERVAL_MS}`);
        await saysMore(client, 'sent', 3);
        // What was sent when it was turned off may be counted late.
        const late = silent.all('sent').length - before;
        t.ok(late <= (silent === clients[0] ? 1 : 0), `the other one was silent but for ${late}`);
        await client.says('completed', answered + 1);
        client.tell('keepalive 0');
        await client.says('set', 1);
        client.tell('counters');
        const { all } = await client.says('counters');
        t.match(all, [{ bytesSent: 0, bytesReceived: 0 }]);
      }
      for (const client of clients) {
        t.match(await client.end(), { code: 0, stderr: '' });
      }
      t.same(server.all('error'), []);
      t.match(await server.end(), { code: 0, stderr: '' });
    },
  );

  void t.test(
    'the device of a peer whose process is stopped answers keepalives for it',
    { timeout: 60_000 },
    async (t) => {
      const server = new Program('idle', { args: ['server', ADDRESS] });
      const { port } = await server.says('listening');
      const client = new Program('idle', { args: ['client', ADDRESS, String(port)] });
      await client.says('connected');
      await server.says('connected');
      server.kill('SIGSTOP');
      client.tell(`keepalive ${INTERVAL_MS}`);
      // None is sent before the one before it was answered.
      await saysMore(client, 'sent', 4);
      server.kill('SIGCONT');
      client.tell('counters');
      t.match(await client.says('counters'), { all: [{ bytesReceived: 0 }] }, 'it is connected');
      t.match(await client.end(), { code: 0, stderr: '' });
      t.same([...client.all('error'), ...server.all('error')], []);
      t.match(await server.end(), { code: 0, stderr: '' });
    },
  );
}
