/** The device goes away under connections that are busy, and comes back. */
import t, { type Test } from 'tap';
import { PATIENT, Program, run } from './program';

const ADDRESS = '10.77.0.1';
/** Takes seconds each way: it is not over when the device goes. */
const STREAM_BYTES = 32 << 20;
const CONNECTIONS = 3;
const ATTEMPTS_MAX = 5000;
const removed = 'ENETDOWN because of ERR_RDMA_DEVICE_REMOVED';
/** Of a peer on the same device that had heard of the removal a moment earlier. */
const reset = 'ECONNRESET because of ERR_RDMA_CONNECTION_RESET';

type Ended = ReturnType<typeof run>;

async function addDevice(t: Test, name: string, netdev: string): Promise<void> {
  const added = await run('rdma', ['link', 'add', name, 'type', 'rxe', 'netdev', netdev]);
  t.match(added, { code: 0 });
}

interface Pair {
  server: Program;
  client: Program;
  port: number;
}

async function start(t: Test): Promise<Pair> {
  const server = new Program('echo-server', { args: ['0', '0.0.0.0'] });
  const { port, transport } = await server.says('listening');
  t.equal(transport, 'rdma');
  return { server, client: new Program('calls'), port: Number(port) };
}

/** Deletes the device while all connections transfer; resolves when they have all heard of it. */
async function loseDevice(t: Test, { server, client, port }: Pair): Promise<{ deleted: Ended }> {
  client.tell(`open ${ADDRESS} ${port} ${CONNECTIONS}`);
  const { all } = await client.says('opened');
  t.match(all, Array(CONNECTIONS).fill({ transport: 'rdma' }));
  client.tell(`echo ${STREAM_BYTES}`);
  await client.says('flowing', CONNECTIONS - 1);
  const deleted = run('rdma', ['link', 'delete', 'rxe0']);
  const errors: string[] = [];
  for (const program of [server, client]) {
    await program.says('error', CONNECTIONS - 1);
    for (const { code, cause } of program.all('error')) {
      errors.push(`${String(code)} because of ${String(cause)}`);
    }
  }
  t.equal(errors.length, 2 * CONNECTIONS);
  t.same(
    errors.filter((error) => error !== removed && error !== reset),
    [],
  );
  const own = errors.filter((error) => error === removed).length;
  t.ok(own >= CONNECTIONS, `one end of each connection at least hears it of the device: ${own}`);
  await server.says('closed', CONNECTIONS - 1);
  t.match(await client.says('echoed'), { right: 0 });
  client.tell('forget');
  return { deleted };
}

async function end(t: Test, { server, client }: Pair): Promise<void> {
  for (const program of [client, server]) t.match(await program.end(), { code: 0, stderr: '' });
}

/** New programs find the device. */
async function useDevice(t: Test): Promise<void> {
  const pair = await start(t);
  pair.client.tell(`open ${ADDRESS} ${pair.port}`);
  t.match(await pair.client.says('opened'), { all: [{ transport: 'rdma' }] });
  pair.client.tell('echo');
  t.match(await pair.client.says('echoed'), { right: 1 });
  await end(t, pair);
}

export function deviceLossTests(): void {
  void t.test(
    'connections over a device that is deleted fail, those after them are TCP, and it can come back',
    PATIENT,
    async (t) => {
      const pair = await start(t);
      const { deleted } = await loseDevice(t, pair);
      const { client, port } = pair;
      client.tell(`open ${ADDRESS} ${port}`);
      const { all } = await client.says('opened', 1);
      const [opened] = all as { transport: string; reason: string }[];
      t.equal(opened?.transport, 'tcp');
      t.match(opened?.reason, /^(device-removed|no-device|no-route)$/);
      client.tell('echo');
      t.match(await client.says('echoed', 1), { right: 1 });
      // The kernel waits with the removal of its last device until librdmacm has closed it, which
      // it does with the process.
      await end(t, pair);
      t.match(await deleted, { code: 0 });
      await addDevice(t, 'rxe0', 'veth0');
      await useDevice(t);
    },
  );

  void t.test(
    'where there is another device the removal of one ends at once, and programs find it again',
    PATIENT,
    async (t) => {
      await addDevice(t, 'rxe1', 'veth1');
      const pair = await start(t);
      const { deleted } = await loseDevice(t, pair);
      t.match(await deleted, { code: 0 }, 'while both programs run');
      await addDevice(t, 'rxe0', 'veth0');
      // The listener of the server went with the device.
      const other = await start(t);
      pair.client.tell(`await ${ADDRESS} ${other.port} ${ATTEMPTS_MAX}`);
      t.match(await pair.client.says('awaited'), { transport: 'rdma' });
      pair.client.tell('echo');
      t.match(await pair.client.says('echoed', 1), { right: 1 });
      await end(t, pair);
      await end(t, other);
      t.match(await run('rdma', ['link', 'delete', 'rxe1']), { code: 0 });
      await useDevice(t);
    },
  );
}
