/** Programs of other users: not trusted with anything, and TCP is there for them. */
import path from 'node:path';
import t, { type Test } from 'tap';
import type { Place } from '../rdma/place';
import { Child, root, run } from '../rdma/program';
import { LocalProgram } from './local-program';

/** Of nobody, by convention. */
const OTHER_USER = '65534';

/**
 * Takes the names under which a server on a port would be found, as another user, before the server
 * does; says what it was given by whoever connected. Node pads such names, and they are others then.
 */
const squatter = `
import json, os, select, socket, sys
os.setgid(${OTHER_USER}); os.setuid(${OTHER_USER})
port = sys.argv[1]
servers, marks = [], []
for address in ('127.0.0.1', 'any4', 'any6'):
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM):
        server = socket.socket(socket.AF_UNIX, kind)
        server.bind('\\0rdma-net/2/%s/%s' % (port, address))
        if kind == socket.SOCK_DGRAM:
            marks.append(server)
            continue
        server.listen(8)
        servers.append(server)
names = len(servers)
print(json.dumps({'event': 'squatting', 'names': names}), flush=True)
clients, given = [], 0
while True:
    for ready in select.select(servers + clients + [sys.stdin], [], [])[0]:
        if ready is sys.stdin:
            print(json.dumps({'event': 'given', 'bytes': given}), flush=True)
            sys.exit()
        elif ready in servers:
            clients.append(ready.accept()[0])
        else:
            data = ready.recv(65536)
            given += len(data)
            if not data: clients.remove(ready)
`;

/** Why programs cannot be run as somebody else, if so. */
function obstacle(): string | undefined {
  return process.getuid?.() === 0 ? undefined : 'only root runs programs as another user';
}

/** Both prefer shared memory, and one of them belongs to another user. */
async function meet(
  t: Test,
  place: Place,
  other: 'server' | 'client' | 'both',
  meanwhile = (): Promise<void> => Promise.resolve(),
): Promise<unknown> {
  const env = { RDMA_NET: 'prefer' };
  // What the test runner has every child load would write where another user may not.
  const wrapper = ['env', '--unset=NODE_OPTIONS'];
  const argsOf = (side: string): string[] =>
    other === side || other === 'both' ? ['as', OTHER_USER] : [];
  const server = new LocalProgram('caller', { env, wrapper, args: argsOf('server') });
  server.tell(`listen ${JSON.stringify({ port: 0, host: place.address })}`);
  const listening = await server.says('listening');
  t.equal(listening.transport, place.transport);
  const client = new LocalProgram('caller', { env, wrapper, args: argsOf('client') });
  client.tell(`call ${place.address} ${listening.port as number}`);
  const called = await client.says('called');
  await meanwhile();
  for (const program of [client, server]) t.match(await program.end(), { code: 0, stderr: '' });
  t.equal(server.all('accepted').length, 1);
  return called;
}

interface TakenNames {
  checks: { id: string; state: string; text: string; fix?: string[] }[];
}

/** What doctor says of names that the wrong program has. */
async function namesTaken(): Promise<TakenNames['checks']> {
  const cli = path.join(root, 'dist', 'lib', 'cli.js');
  const { output } = await run(process.execPath, [cli, 'doctor', '--json']);
  const { checks } = JSON.parse(output) as TakenNames;
  return checks.filter(({ id }) => id === 'local-names');
}

async function hasPython(): Promise<boolean> {
  try {
    return (await run('python3', ['--version'])).code === 0;
  } catch {
    return false;
  }
}

export function userTests(place: Place): void {
  const { address, transport } = place;
  const skip = obstacle() ?? false;
  const options = { timeout: 60_000, skip };

  void t.test('programs of the same user meet, whoever it is', options, async (t) => {
    t.match(await meet(t, place, 'both'), { transport });
  });

  void t.test(
    'a server of another user is reached over TCP, and why is said',
    options,
    async (t) => {
      const called = await meet(t, place, 'server', async () => {
        t.same(await namesTaken(), [], 'its names are its own');
      });
      t.match(called, { transport: 'tcp', reason: 'local-user', server: { transport: 'tcp' } });
    },
  );

  void t.test('a client of another user comes over TCP, and why is said', options, async (t) => {
    const called = await meet(t, place, 'client');
    t.match(called, { transport: 'tcp', reason: 'local-user', server: { transport: 'tcp' } });
  });

  void t.test(
    'another user who takes the names of a server gets nothing, and the client goes to TCP',
    options,
    async (t) => {
      if (!(await hasPython())) return t.pass('a squatter', { skip: 'there is no python3' });
      const env = { RDMA_NET: 'prefer' };
      // It has a port, but stays on TCP: its names are free.
      const server = new LocalProgram('caller', { env: { RDMA_NET: 'off' } });
      server.tell(`listen ${JSON.stringify({ port: 0, host: address })}`);
      const { port } = await server.says('listening');
      const thief = new Child(['python3', '-c', squatter, String(port)]);
      t.match(await thief.says('squatting'), { names: 6 });
      const client = new LocalProgram('caller', { env });
      client.tell(`call ${address} ${port as number}`);
      t.match(await client.says('called'), {
        transport: 'tcp',
        reason: 'local-user',
        server: { transport: 'tcp' },
      });
      const found = {
        id: 'local-names',
        state: 'warning',
        fix: [`kill ${thief.pid}`, /another port/],
      };
      const seen = new RegExp(
        `of node \\(process ${server.pid}, .*process ${thief.pid}, user 65534`,
      );
      t.match(await namesTaken(), [{ ...found, text: seen }]);
      // Nor does one listen there.
      server.tell('close');
      await server.says('closed');
      const late = new LocalProgram('caller', { env });
      late.tell(`listen ${JSON.stringify({ port, host: address })}`);
      t.match(await late.says('listening'), { transport: 'tcp', reason: 'local-in-use' });
      late.tell('close');
      await late.says('closed');
      t.match(await namesTaken(), [{ ...found, text: /at which nobody listens/ }]);
      thief.tell('what were you given?');
      t.match(await thief.says('given'), { bytes: 0 });
      for (const program of [client, late, server, thief]) {
        t.match(await program.end(), { code: 0, stderr: '' });
      }
    },
  );

  void t.test(
    'a user whom a user namespace does not know is not taken for one that is its own',
    options,
    async (t) => {
      if (!(await hasPython())) return t.pass('a squatter', { skip: 'there is no python3' });
      const server = new LocalProgram('caller', { env: { RDMA_NET: 'off' } });
      server.tell(`listen ${JSON.stringify({ port: 0, host: address })}`);
      const { port } = await server.says('listening');
      const thief = new Child(['python3', '-c', squatter, String(port)]);
      await thief.says('squatting');
      // All users are nobody there, the client and the thief too.
      const wrapper = ['env', '--unset=NODE_OPTIONS', 'unshare', '--user'];
      const client = new LocalProgram('caller', { env: { RDMA_NET: 'prefer' }, wrapper });
      client.tell(`call ${address} ${port as number}`);
      t.match(await client.says('called'), { transport: 'tcp', reason: 'local-user' });
      thief.tell('what were you given?');
      t.match(await thief.says('given'), { bytes: 0 });
      for (const program of [client, server, thief]) {
        t.match(await program.end(), { code: 0, stderr: '' });
      }
    },
  );
}
