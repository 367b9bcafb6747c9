/** `rdma-net explain`, and what it finds out. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import path from 'node:path';
import t from 'tap';
import { withCertificate } from '../../benchmarks/pair/certificate';
import { deviceEntryFor } from '../../lib/explain/device-route';
import { foresee } from '../../lib/explain/prospect';
import type { Explanation } from '../../lib/explain/show';
import { tryToConnect, type Step, type TrialOptions } from '../../lib/explain/trial';
import { configure } from '../../lib/install';
import { RdmaError } from '../../lib/errors';
import { Files } from '../../lib/machine/files';
import { Status } from '../../lib/native-status';
import { jsonMembers } from '../docs/json-members';
import {
  closedPort,
  fakeRdma,
  finish,
  libFolder,
  listen,
  listenTcp,
  nodeCommand,
  portOf,
  runNode,
  transportOf,
} from './support';

const binding = fakeRdma();
const cli = path.join(libFolder, 'cli.js');
const ADDRESS = '127.0.0.1';

function to(port: number, more: Partial<TrialOptions> = {}): TrialOptions {
  const options = { host: ADDRESS, port, addresses: [ADDRESS], isTls: false, timeoutMs: 5000 };
  return { ...options, ...more };
}

function stepsOf(steps: readonly Step[]): string[] {
  return steps.map(({ transport, step, reason }) =>
    [transport, step, ...(reason === null ? [] : [reason.code])].join(' '),
  );
}

t.test('a connection over RDMA has the steps of its handshake, and what it runs on', async (t) => {
  const server = net.createServer();
  const port = await listen(server);
  const { steps, outcome, failure, remembered } = await tryToConnect(to(port));
  t.same(stepsOf(steps), ['rdma address', 'rdma route', 'rdma device', 'rdma answer']);
  t.match(outcome, {
    transport: 'rdma',
    address: ADDRESS,
    device: 'fake0',
    devicePort: 1,
    peer: 'rdma-net',
    roundTripMilliseconds: 0.001,
    reason: null,
  });
  t.same([failure, remembered], [null, null]);
  await finish(server);
});

t.test('the time in which libraries are opened is told apart', async (t) => {
  const transport = transportOf(binding);
  const server = net.createServer();
  const port = await listen(server);
  transport.opened = false;
  transport.answers.set(`${ADDRESS}#${port}`, 'hold');
  configure({ headStartMs: 60_000 });
  const trial = tryToConnect(to(port));
  while (transport.heldIds.length === 0) await new Promise((resolve) => setImmediate(resolve));
  transport.finishOpening();
  transport.release(transport.heldIds[0] ?? -1);
  const { steps } = await trial;
  t.equal(stepsOf(steps)[0], 'rdma open');
  t.equal(stepsOf(steps).at(-1), 'rdma answer');
  configure({ headStartMs: 50 });
  await finish(server);
});

t.test('a peer without RDMA is refused with its steps, and remembered', async (t) => {
  const server = net.createServer();
  configure({ mode: 'off' });
  const port = await listenTcp(server);
  configure({ mode: 'prefer' });
  const { steps, outcome, remembered } = await tryToConnect(to(port));
  t.same(stepsOf(steps), [
    ...['rdma address', 'rdma route', 'rdma device', 'rdma fail peer-refused'],
    'tcp connect',
  ]);
  t.match(outcome, { transport: 'tcp', reason: { code: 'peer-refused' } });
  t.match(remembered, { code: 'peer-refused', detail: /remembered/ });
  const again = await tryToConnect(to(port));
  t.same(stepsOf(again.steps), ['rdma skip peer-refused', 'tcp connect']);
  await finish(server);
});

t.test('a peer that is silent over RDMA has failed when TCP has connected', async (t) => {
  const server = net.createServer();
  const port = await listen(server);
  const name = `${ADDRESS}#${port}`;
  transportOf(binding).answers.set(name, 'silent');
  const { steps, outcome } = await tryToConnect(to(port));
  t.same(stepsOf(steps), ['rdma fail peer-silent', 'tcp connect']);
  t.match(outcome, { transport: 'tcp', reason: { code: 'peer-silent' } });
  transportOf(binding).answers.delete(name);
  await finish(server);
});

t.test('an error has its code and what RDMA said', async (t) => {
  configure({ mode: 'require', peerMemoryMs: 0 });
  const { outcome, failure } = await tryToConnect(to(await closedPort()));
  t.equal(outcome, null);
  const cause = new RdmaError(Status.ConnectionRefused).message;
  t.match(failure, { code: 'ECONNREFUSED', message: /connect ECONNREFUSED/, cause });
  configure({ mode: 'prefer', peerMemoryMs: 60_000 });
});

t.test(
  'what comes first for an address is wanted, and a rule is named with its place',
  async (t) => {
    const question = { direction: 'connect', name: 'a.db', port: 80, isTls: false } as const;
    configure({
      transports: ['local', 'rdma'],
      rules: ['connect *.db:90 tcp', 'connect *.db rdma'],
    });
    const byRule = await foresee(ADDRESS, question);
    t.match(byRule, {
      rule: { text: 'connect *.db rdma', source: 'rules[1]', line: 1 },
      transports: [{ transport: 'rdma', state: 'tried' }],
      wanted: 'rdma',
      isOfThisHost: true,
    });
    const toTcp = await foresee(ADDRESS, { ...question, port: 90 });
    t.match(toTcp, { wanted: 'tcp', reason: { code: 'rule-tcp' } });
    const unruled = await foresee('192.0.2.9', { ...question, name: undefined });
    t.match(unruled, {
      rule: null,
      transports: [{ transport: 'local', state: 'beside' }, { transport: 'rdma' }],
      wanted: 'rdma',
      isOfThisHost: false,
    });
    configure({ transports: ['rdma'], rules: [] });
  },
);

t.test('the GID of an address is found in the tables of the devices, v2 before v1', (t) => {
  const ofPort = (gids: string[], ndevs: string[], types: string[]): object => {
    const entries = (texts: string[]): object => Object.fromEntries(texts.entries());
    const gid_attrs = { ndevs: entries(ndevs), types: entries(types) };
    return { ports: { 1: { gids: entries(gids), gid_attrs } } };
  };
  const link = 'fe80:0000:0000:0000:0202:c9ff:fe00:0001';
  const mapped = '0000:0000:0000:0000:0000:ffff:0a00:0001';
  const roce = ofPort(
    [link, mapped, mapped],
    ['eth0', 'eth0', 'eth0'],
    ['RoCE v2', 'IB/RoCE v1', 'RoCE v2'],
  );
  const ib0 = { dev_port: '0', device: { infiniband: { mlx4_0: {} } } };
  const infiniband = { mlx5_0: roce, mlx4_0: ofPort([link], [], []) };
  const tree = { sys: { class: { infiniband, net: { ib0 } } } };
  const files = new Files(t.testdir(tree as object as Parameters<typeof t.testdir>[0]));
  t.same(deviceEntryFor('10.0.0.1', 'eth0', { files }), {
    ...{ device: 'mlx5_0', devicePort: 1, gidIndex: 2, gidType: 'RoCE v2' },
    gid: '::ffff:10.0.0.1',
  });
  t.match(deviceEntryFor('fe80::202:c9ff:fe00:1%eth0', 'eth0', { files }), { gidIndex: 0 });
  t.equal(deviceEntryFor('10.0.0.2', 'eth0', { files }), null, 'nobody has it');
  t.match(deviceEntryFor('10.1.0.1', 'ib0', { files }), { device: 'mlx4_0', gidType: null });
  t.equal(deviceEntryFor('10.1.0.1', null, { files }), null);
  t.end();
});

/** A server in a program of its own, with TLS if it is given files for that, until `use` has ended. */
async function withServer(
  environment: Record<string, string>,
  use: (port: number) => Promise<void>,
  tlsFiles: readonly string[] = [],
): Promise<void> {
  const script = `
    const [key, cert] = process.argv.slice(1).map((file) => require('node:fs').readFileSync(file));
    const onSocket = (socket) => socket.on('error', () => {}).resume();
    const server = cert === undefined
      ? require('node:net').createServer(onSocket)
      : require('node:tls').createServer({ key, cert }, onSocket);
    server.listen(0, '127.0.0.1', () => console.log(server.address().port));
    process.stdin.resume().on('end', () => process.exit());`;
  const preload = path.join(libFolder, 'preload.js');
  const child = spawn(
    ...nodeCommand(['--require', preload, '-e', script, ...tlsFiles], environment),
  );
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  await use(Number(line));
  child.stdin.end();
  await once(child, 'close');
}

t.test('explain is no reset to a server that greets', async (t) => {
  const errors: Error[] = [];
  const server = net.createServer((socket) => {
    socket.on('error', (error) => errors.push(error));
    socket.write('220 hello\n');
    socket.on('end', () => socket.end('221 bye\n')).resume();
  });
  const port = await listenTcp(server);
  // With a rule for TCP there is one connection, and without two.
  for (const rules of ['connect * tcp', '']) {
    const { stdout } = await runNode([cli, 'explain', `${ADDRESS}:${port}`], {
      RDMA_NET_RULES: rules,
    });
    t.match(stdout, /^Connected over tcp/m);
  }
  server.close();
  await once(server, 'close');
  t.same(errors, []);
});

t.test('explain tells of a server on this host with rdma-net, with status 0', async (t) => {
  await withServer({}, async (port) => {
    const shown = await runNode([cli, 'explain', `${ADDRESS}:${port}`]);
    t.match(shown, {
      code: 0,
      stderr: '',
      stdout:
        /^ {2}order +local, rdma .*tcp$[^]*^ {2}tcp +connect, to compare[^]*^Connected over local/m,
    });
    const rule = 'connect localhost tcp';
    const ruled = await runNode([cli, 'explain', '--json', `localhost:${port}`], {
      RDMA_NET_RULES: `program other.js ${rule}; connect * local`,
    });
    const parsed = JSON.parse(ruled.stdout) as object;
    t.match(parsed, {
      asWanted: true,
      lookup: { failure: null },
      trial: { outcome: { transport: 'local', peer: 'rdma-net' }, failure: null },
    });
    const members = ['format', 'version', 'command', ...jsonMembers('explain')];
    t.strictSame(Object.keys(parsed), members);
    const other = ['--program', 'other.js', '--json', `${ADDRESS}:${port}`];
    const asOther = await runNode([cli, 'explain', ...other], {
      RDMA_NET_RULES: `program other.js ${rule}; connect * local`,
    });
    t.match(JSON.parse(asOther.stdout), {
      asWanted: true,
      addresses: [{ rule: { source: 'RDMA_NET_RULES', line: 1 }, wanted: 'tcp' }],
      tcp: null,
      trial: { outcome: { transport: 'tcp', reason: { code: 'rule-tcp' } } },
    });
  });
});

t.test('explain tells why it is TCP, and whom nobody answers, with status 1', async (t) => {
  await withServer({ RDMA_NET: 'off' }, async (port) => {
    t.match(await runNode([cli, 'explain', `${ADDRESS}:${port}`]), {
      code: 1,
      stdout:
        /^Connected over tcp [^]*local-refused: Nobody [^]*Fix: Run the server with rdma-net/m,
    });
    t.match(await runNode([cli, 'explain', '--tls', '--timeout', '0.2', `${ADDRESS}:${port}`]), {
      code: 1,
      stdout:
        /^connect .* with TLS$[^]*^Connected over tcp [^]*^No TLS: ETIMEDOUT$[^]*not speak TLS/m,
    });
    const required = { RDMA_NET: 'require' };
    t.match(await runNode([cli, 'explain', `${ADDRESS}:${port}`], required), {
      code: 1,
      stdout: /^Not connected: ECONNREFUSED$[^]*A server listens there over TCP alone, /m,
    });
  });
  t.match(await runNode([cli, 'explain', `${ADDRESS}:${await closedPort()}`]), {
    code: 1,
    stdout: /^Not connected: ECONNREFUSED$[^]*Nobody listens at that address/m,
  });
  t.match(await runNode([cli, 'explain', 'no-such-name.invalid:80']), {
    code: 1,
    stdout: /^The name is not known: .*no-such-name\.invalid$/m,
  });
});

t.test('explain --tls follows rules that want TLS, and times its handshake', async (t) => {
  await withCertificate(async (files) => {
    const use = async (port: number): Promise<void> => {
      const rules = { RDMA_NET_RULES: `connect ${ADDRESS}:${port} tls local; connect * tcp` };
      const shown = await runNode([cli, 'explain', '--tls', `${ADDRESS}:${port}`], rules);
      t.match(shown, { code: 0, stderr: '' });
      const line = (text: string): string => `^ {2}local  ${text} +\\d+\\.\\d\\d ms$[^]*`;
      const steps = ['set up shared memory', 'connect', 'TLS handshake'].map(line);
      t.match(shown.stdout, new RegExp(`${steps.join('')}^Connected over local`, 'm'));
      const json = await runNode([cli, 'explain', '--tls', '--json', `${ADDRESS}:${port}`], rules);
      const { trial, ...rest } = JSON.parse(json.stdout) as Explanation;
      t.match(rest, { tls: true, addresses: [{ wanted: 'local', rule: { line: 1 } }] });
      t.match(trial, { outcome: { transport: 'local' }, failure: null });
      t.equal(trial?.steps.at(-1)?.step, 'tls');
      t.ok((trial?.steps.at(-1)?.milliseconds ?? 0) > 0);
      const without = await runNode([cli, 'explain', `${ADDRESS}:${port}`], rules);
      t.match(without, { code: 0, stdout: /rule-tls: [^]*--tls tells[^]*Connected over tcp/ });
      const strict = { RDMA_NET_RULES: `connect ${ADDRESS}:${port} require tls local` };
      const refused = await runNode([cli, 'explain', `${ADDRESS}:${port}`], strict);
      t.match(refused, { code: 1, stdout: /^Not connected: EACCES$/m });
    };
    await withServer({}, use, files);
    const toTcp = async (port: number): Promise<void> => {
      const shown = await runNode([cli, 'explain', '--tls', `${ADDRESS}:${port}`]);
      t.match(shown, { code: 1, stdout: /^ {2}tcp +TLS handshake +\d[^]*local-refused/m });
    };
    await withServer({ RDMA_NET: 'off' }, toTcp, files);
  });
});

t.test('explain --no-connect touches nobody', async (t) => {
  const server = new net.Server(() => t.fail('somebody connected'));
  const port = await listenTcp(server);
  t.match(await runNode([cli, 'explain', '--no-connect', `${ADDRESS}:${port}`]), {
    code: 0,
    stdout: /^ {2}order +local/m,
  });
  await finish(server);
});

t.test('explain --listen tells over what a server can be reached', async (t) => {
  t.match(await runNode([cli, 'explain', '--listen', `${ADDRESS}:0`]), {
    code: 0,
    stdout: /^Listened over local, tcp within .*\n {2}not over rdma: loopback: /m,
  });
  const server = new net.Server();
  await listenTcp(server);
  t.match(await runNode([cli, 'explain', '--listen', `${ADDRESS}:${portOf(server)}`]), {
    code: 1,
    stdout: /^Could not listen: EADDRINUSE$/m,
  });
  await finish(server);
});

t.test('explain tells what is wrong with its command line, with status 2', async (t) => {
  for (const [args, message] of [
    [[], 'explain needs HOST:PORT'],
    [['a'], '"a" has no port'],
    [['::1:80'], '"::1:80" is no host and port (IPv6 in brackets: [::1]:80)'],
    [['a:70000'], '"a:70000" is no host and port (ports end at 65535)'],
    [['a:80', 'b'], '"b" is one argument too many'],
    [['a', '80'], '"80" is one argument too many; write a:80'],
    [['a:0'], 'nobody can connect to port 0'],
    [['--fast', 'a:80'], "Unknown option '--fast'"],
    [['--timeout', 'x', 'a:80'], '--timeout is "x"; expected a number from 0.1 to 600'],
  ] as const) {
    const result = await runNode([cli, 'explain', ...args]);
    t.equal(result.code, 2);
    t.match(result.stderr, `rdma-net: ${message}`);
  }
});
