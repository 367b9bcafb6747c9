/** TCP wherever nothing else can be had: each cause made for real, and the reason that is given. */
import { existsSync, readdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import t, { type Test } from 'tap';
import { lab, type Place } from './place';
import { PATIENT, Program, run, withLockedMemory } from './program';

const withoutLockedMemory = withLockedMemory(0);

/** A server and a client that both lack something: both work on TCP, and both say why. */
async function bothOnTcp(
  t: Test,
  reason: string,
  options: { wrapper?: string[] } = {},
): Promise<void> {
  const server = new Program('echo-server', { args: ['0', '0.0.0.0'], ...options });
  const listening = await server.says('listening');
  t.match(listening, { transport: 'tcp', reason });
  const client = new Program('client', options);
  await client.says('ready');
  client.tell(`connect ${lab.address} ${listening.port as number}`);
  t.match(await client.says('connected'), { transport: 'tcp', reason });
  t.match(await server.says('connection'), { transport: 'tcp' });
  for (const program of [client, server]) t.match(await program.end(), { code: 0, stderr: '' });
}

function libraryFolder(): string {
  const folders = readdirSync('/usr/lib')
    .filter((name) => name.endsWith('-linux-gnu'))
    .map((name) => path.join('/usr/lib', name));
  const found = folders.find((folder) => existsSync(path.join(folder, 'librdmacm.so.1')));
  if (found === undefined) throw new Error('librdmacm.so.1 is in no folder of /usr/lib');
  return found;
}

/** What is missing is missing on one side only. */
export function fallbackTests({ address, transport, wildcard }: Place): void {
  const refused = transport === 'local' ? 'local-refused' : 'peer-refused';

  void t.test('a peer that listens on TCP only costs one probe', PATIENT, async (t) => {
    const server = new Program('echo-server', { args: ['0', wildcard], env: { RDMA_NET: 'off' } });
    const { port } = await server.says('listening');
    const client = new Program('client', { env: { RDMA_NET: 'prefer' } });
    await client.says('ready');
    client.tell(`connect ${address} ${port as number} 3`);
    const [first, second, third] = [
      await client.says('connected', 0),
      await client.says('connected', 1),
      await client.says('connected', 2),
    ];
    for (const connected of [first, second, third]) {
      t.match(connected, { transport: 'tcp', reason: refused });
    }
    // What is asked of this host costs so little that nobody has to remember it.
    if (transport === 'rdma') {
      t.notMatch(first.detail, /remembered/);
      t.match([second.detail, third.detail], [/remembered/, /remembered/]);
    }
    await client.end();
    await server.end();
  });

  void t.test(
    'a client without rdma-net is served over TCP by a server on RDMA',
    PATIENT,
    async (t) => {
      const server = new Program('echo-server', {
        args: ['0', wildcard],
        env: { RDMA_NET: 'prefer' },
      });
      const listening = await server.says('listening');
      t.equal(listening.transport, transport);
      const client = new Program('client', { env: { RDMA_NET: 'off' } });
      await client.says('ready');
      client.tell(`connect ${address} ${listening.port as number}`);
      t.match(await client.says('connected'), { transport: 'tcp', reason: 'mode-off' });
      t.match(await server.says('connection'), { transport: 'tcp' });
      t.equal(server.all('connection').length, 1);
      await client.end();
      await server.end();
    },
  );

  void t.test('in require mode a peer without RDMA is refused as over TCP', PATIENT, async (t) => {
    const server = new Program('echo-server', { args: ['0', wildcard], env: { RDMA_NET: 'off' } });
    const { port } = await server.says('listening');
    const client = new Program('client', { env: { RDMA_NET: 'require' } });
    await client.says('ready');
    client.tell(`connect ${address} ${port as number}`);
    t.match(await client.says('failed'), { code: 'ECONNREFUSED' });
    t.same(server.all('connection'), []);
    await client.end();
    await server.end();
  });
}

/** What RDMA needs, taken away. */
export function missingRdmaTests(): void {
  void t.test('without librdmacm on the library path everything is TCP', PATIENT, async (t) => {
    // The guest's root is a layer over the host's: what moves here moves nowhere else.
    const library = path.join(libraryFolder(), 'librdmacm.so.1');
    renameSync(library, `${library}.away`);
    await bothOnTcp(t, 'library-missing');
    renameSync(`${library}.away`, library);
  });

  void t.test('when no memory may be locked everything is TCP', PATIENT, async (t) => {
    await bothOnTcp(t, 'memory-lock-limit', { wrapper: withoutLockedMemory });
  });

  // Last: it takes the device away.
  void t.test('without a device everything is TCP', PATIENT, async (t) => {
    t.match(await run('rdma', ['link', 'delete', 'rxe0']), { code: 0 });
    await bothOnTcp(t, 'no-device');
    const added = await run('rdma', ['link', 'add', 'rxe0', 'type', 'rxe', 'netdev', 'veth0']);
    t.match(added, { code: 0 });
  });
}
