/** Who wins when more than one transport is tried, and that the server's program sees one connection. */
import os from 'node:os';
import t, { type Test } from 'tap';
import { lab, type Place } from './place';
import { PATIENT, Program, run } from './program';

/** A host on the network of the device that has no RDMA, and drops what comes for it. */
const QUIET = '10.77.0.97';
const NAMESPACE = 'quiet';
const PREFER = { RDMA_NET: 'prefer' };

/** Runs commands of a shell, one after the other. */
async function shell(t: Test, ...commands: string[]): Promise<void> {
  const { code, output } = await run('sh', ['-ec', commands.join('\n')]);
  if (code !== 0) throw new Error(`${commands.join('; ')}: ${output}`);
}

async function startServer(host: string, options: object = {}): Promise<[Program, number]> {
  const server = new Program('echo-server', { args: ['0', host], env: PREFER, ...options });
  const { port } = await server.says('listening');
  return [server, Number(port)];
}

async function startClient(): Promise<Program> {
  const client = new Program('races', { env: PREFER });
  await client.says('ready');
  return client;
}

/** Ends the programs; the server has then seen all that it will ever see. */
async function end(t: Test, client: Program, ...servers: Program[]): Promise<unknown[]> {
  t.match(await client.end(), { code: 0, stderr: '' });
  for (const server of servers) t.match(await server.end(), { code: 0, stderr: '' });
  return servers.flatMap((server) => server.all('connection').map(({ transport }) => transport));
}

/** What needs no more than a server that can be reached in two ways. */
export function raceTests({ address, transport, wildcard }: Place): void {
  void t.test('an answer that comes after TCP has connected meets nobody', PATIENT, async (t) => {
    const [server, port] = await startServer(wildcard);
    // So that all is open, and what counts is who answers.
    const client = await startClient();
    client.tell(`connect ${address} ${port}`);
    t.match(await client.says('connected'), { transport });
    await server.says('connection');
    // The kernel goes on answering TCP.
    server.kill('SIGSTOP');
    client.tell(`race ${address} ${port}`);
    t.match(await client.says('connected', 1), { transport: 'tcp' });
    server.kill('SIGCONT');
    await server.says('connection', 1);
    t.same(await end(t, client, server), [transport, 'tcp']);
  });

  void t.test(
    'a server sees those connections only that were not given up on the way',
    PATIENT,
    async (t) => {
      const [server, port] = await startServer(wildcard);
      const client = await startClient();
      client.tell(`give-up ${address} ${port} 20`);
      const { connected } = await client.says('gave-up');
      client.tell(`connect ${address} ${port}`);
      t.match(await client.says('connected'), { transport });
      await server.says('connection', Number(connected));
      const seen = await end(t, client, server);
      t.same(seen, Array(Number(connected) + 1).fill(transport));
    },
  );
}

/** Filters TCP connections to a port; call the result when that is over. */
async function filterTcp(t: Test, port: number, verdict: string): Promise<void> {
  await shell(
    t,
    'nft add table inet races',
    "nft add chain inet races input '{ type filter hook input priority 0; }'",
    `nft add rule inet races input tcp dport ${port} ${verdict}`,
  );
}

function addressOfLink(): string {
  const found = os.networkInterfaces().veth0?.find(({ address }) => address.startsWith('fe80:'));
  if (found === undefined) throw new Error('veth0 has no address of its link');
  return `${found.address}%veth0`;
}

/** What a client and a server see at each of these hosts. */
async function callAll(t: Test, mode: string, hosts: string[]): Promise<unknown[]> {
  const caller = '../../local/programs/caller';
  const [server, client] = [
    new Program(caller, { env: { RDMA_NET: mode } }),
    new Program(caller, { env: { RDMA_NET: mode } }),
  ];
  server.tell('listen {"port":0}');
  const { port } = await server.says('listening');
  const views: unknown[] = [];
  for (const [index, host] of hosts.entries()) {
    client.tell(`call ${host} ${port as number}`);
    const called = await client.says('called', index);
    t.equal(called.transport, mode === 'off' ? 'tcp' : 'rdma', `${mode} ${host}`);
    views.push(
      [called.client, called.server].map((end) => {
        const view = end as Record<string, unknown> | undefined;
        return ['localAddress', 'localFamily', 'remoteAddress', 'remoteFamily'].map(
          (name) => view?.[name],
        );
      }),
    );
  }
  t.equal(server.all('accepted').length, hosts.length);
  for (const program of [client, server]) t.match(await program.end(), { code: 0, stderr: '' });
  return views;
}

/** What needs the network of the lab. */
export function networkRaceTests(): void {
  const { address } = lab;

  void t.test(
    'a server that only RDMA reaches is reached, whether TCP is refused or dropped',
    PATIENT,
    async (t) => {
      const [server, port] = await startServer('0.0.0.0');
      const client = await startClient();
      client.tell(`connect ${address} ${port}`);
      await client.says('connected');
      for (const [index, verdict] of ['reject with tcp reset', 'drop'].entries()) {
        await filterTcp(t, port, verdict);
        // What is dropped is waited for as long as the head start is.
        if (verdict === 'drop') client.tell('head-start 50');
        client.tell(`race ${address} ${port}`);
        t.match(await client.says('connected', index + 1), { transport: 'rdma' });
        await shell(t, 'nft delete table inet races');
      }
      t.same(await end(t, client, server), ['rdma', 'rdma', 'rdma']);
    },
  );

  void t.test('when both refuse, the error is that of net, once', PATIENT, async (t) => {
    const [server, port] = await startServer('0.0.0.0');
    t.match(await server.end(), { code: 0 });
    const client = await startClient();
    client.tell(`connect ${address} ${port}`);
    t.match(await client.says('failed'), { codes: ['ECONNREFUSED'] });
    client.tell(`race ${address} ${port}`);
    t.match(await client.says('failed', 1), { codes: ['ECONNREFUSED'] });
    await end(t, client);
  });

  void t.test('a peer that is silent over RDMA costs one head start', PATIENT, async (t) => {
    await shell(
      t,
      `ip netns add ${NAMESPACE}`,
      `ip link set veth1 netns ${NAMESPACE}`,
      `ip -n ${NAMESPACE} link set lo up`,
      `ip -n ${NAMESPACE} link set veth1 mtu 4200 up`,
      `ip -n ${NAMESPACE} address add ${QUIET}/24 dev veth1`,
      `ip netns exec ${NAMESPACE} nft add table inet races`,
      `ip netns exec ${NAMESPACE} nft add chain inet races input '{ type filter hook input priority 0; }'`,
      `ip netns exec ${NAMESPACE} nft add rule inet races input udp dport 4791 drop`,
    );
    t.teardown(() =>
      shell(
        t,
        `ip -n ${NAMESPACE} link set veth1 netns 1`,
        `ip netns delete ${NAMESPACE}`,
        'ip link set veth1 mtu 4200 up',
      ),
    );
    const [quiet, port] = await startServer(QUIET, {
      wrapper: ['ip', 'netns', 'exec', NAMESPACE],
      env: { RDMA_NET: 'off' },
    });
    const client = await startClient();
    const [server, rdmaPort] = await startServer(address);
    // So that all is open, and the peer is asked for the whole head start.
    client.tell(`connect ${address} ${rdmaPort}`);
    await client.says('connected');
    client.tell('head-start 3000');
    for (const [index, detail] of ['', 'remembered'].entries()) {
      client.tell(`connect ${QUIET} ${port}`);
      const connected = await client.says('connected', index + 1);
      t.match(connected, { transport: 'tcp', reason: 'peer-silent', detail });
      t.equal(Number(connected.ms) >= 2900, index === 0, `${String(connected.ms)} ms`);
    }
    // A host with two addresses, of which the second one has RDMA.
    client.tell(`connect 10.77.0.98,${address} ${rdmaPort}`);
    t.match(await client.says('connected', 3), { transport: 'rdma', remoteAddress: address });
    client.tell(`connect ${QUIET},${address} ${rdmaPort}`);
    t.match(await client.says('connected', 4), { transport: 'rdma', remoteAddress: address });
    client.tell(`connect ${QUIET},${address} ${port}`);
    t.match(await client.says('connected', 5), { transport: 'tcp', remoteAddress: QUIET });
    t.same(await end(t, client, quiet, server), ['tcp', 'tcp', 'tcp', 'rdma', 'rdma', 'rdma']);
  });

  void t.test('however an address is written, RDMA shows it as TCP does', PATIENT, async (t) => {
    const hosts = [address, `::ffff:${address}`, 'fd77::1', addressOfLink(), 'h1'];
    const overTcp = await callAll(t, 'off', hosts);
    t.same(await callAll(t, 'prefer', hosts), overTcp);
  });
}
