import { once } from 'node:events';
import https from 'node:https';
import net from 'node:net';
import tls from 'node:tls';
import t, { type Test } from 'tap';
import { peers } from '../../lib/connect';
import { info } from '../../lib/info';
import { configure } from '../../lib/install';
import { Status } from '../../lib/native-status';
import { explainRule } from '../../lib/plan';
import { stats } from '../../lib/stats';
import type { FakeTransport } from './fake-transport';
import {
  clientTls,
  close,
  closedPort,
  fakeTransports,
  portOf,
  readAll,
  serverTls,
  until,
  type ErrorWithCause,
} from './support';

const binding = fakeTransports();

/** A server at an address of this host that says over what each connection came. */
async function serve(server: net.Server, transports: string[]): Promise<number> {
  server.on(server instanceof tls.Server ? 'secureConnection' : 'connection', (socket) => {
    const { transport } = socket as net.Socket;
    (socket as net.Socket).on('error', () => undefined).end(String(transport));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  await until(() => info(server).transports.join() === [...transports, 'tcp'].join());
  return portOf(server);
}

const lookup = ((_host: string, options: { all?: boolean }, callback: unknown) => {
  const answer = { address: '127.0.0.1', family: 4 };
  if (options.all === true) (callback as (e: null, all: object[]) => void)(null, [answer]);
  else (callback as (e: null, address: string, family: number) => void)(null, '127.0.0.1', 4);
}) as unknown as net.LookupFunction;

/** What a connection to a port came over, by what the server says. */
async function reach(port: number, options: Partial<net.TcpNetConnectOpts> = {}): Promise<string> {
  const client = net.connect({ port, host: '127.0.0.1', ...options });
  const answer = String(await readAll(client));
  if (answer !== client.transport) throw new Error(`${answer} is not ${String(client.transport)}`);
  return answer;
}

function made(transport: FakeTransport | undefined): FakeTransport {
  if (transport === undefined) throw new Error('the transport is not there');
  return transport;
}

function test(name: string, body: (t: Test) => Promise<void>): void {
  void t.test(name, async (t) => {
    configure({ mode: 'prefer', transports: ['local', 'rdma'], rules: [], headStartMs: 60_000 });
    peers.clear();
    await body(t);
    for (const { transport } of [binding.local, binding.verbs]) {
      if (transport === undefined) continue;
      transport.answers.clear();
      transport.foreignAddresses.clear();
      await until(() => transport.openConnections === 0 && !transport.referenced);
      t.equal(transport.openListeners, 0, 'no listener is left');
    }
  });
}

test('rules by network, port and direction choose the transport', async (t) => {
  const server = net.createServer();
  const port = await serve(server, ['local', 'rdma']);
  const cases: [rules: string, transport: string][] = [
    ['', 'local'],
    ['connect 127.0.0.0/8:* rdma', 'rdma'],
    ['connect 127.0.0.0/8:* tcp', 'tcp'],
    ['connect 10.0.0.0/8:* tcp', 'local'],
    [`connect *:${port} rdma,tcp`, 'rdma'],
    [`connect *:${port + 1} rdma,tcp`, 'local'],
    ['connect * rdma,local', 'rdma'],
    ['connect * local,rdma', 'local'],
    ['listen * tcp', 'local'],
    ['* * rdma', 'rdma'],
    ['connect localhost rdma; connect * tcp', 'rdma'],
    ['connect [::1] rdma; connect * tcp', 'tcp'],
    ['program no.js connect * tcp; connect * rdma', 'rdma'],
    ['program rule-plans.test.js connect * tcp; connect * rdma', 'tcp'],
  ];
  for (const [rules, transport] of cases) {
    configure({ rules });
    t.equal(await reach(port), transport, rules);
  }
  await close(server);
});

test('rules by name hold for the name that the program asked for', async (t) => {
  const server = net.createServer();
  const port = await serve(server, ['local', 'rdma']);
  configure({ rules: ['connect *.db.internal rdma', 'connect localhost tcp'] });
  t.equal(await reach(port, { host: 'a.db.internal', lookup }), 'rdma');
  t.equal(await reach(port, { host: 'A.DB.internal.', lookup, autoSelectFamily: false }), 'rdma');
  configure({ rules: 'connect *.db.internal rdma' });
  t.equal(await reach(port, { host: 'db.internal', lookup }), 'local');
  t.equal(await reach(port), 'local');
  configure({ rules: 'connect *.db.internal tcp' });
  const secure = tls.createServer(serverTls);
  const securePort = await serve(secure, ['local', 'rdma']);
  const host = 'a.db.internal';
  const client = tls.connect({ port: securePort, host, lookup, ...clientTls });
  t.equal(String(await readAll(client)), 'tcp');
  await close(secure);
  await close(server);
});

test('the name holds for every address that is tried, and not for a later connect', async (t) => {
  const server = net.createServer();
  const port = await serve(server, ['local', 'rdma']);
  configure({ rules: 'connect *.internal rdma' });
  const all = ((_host: string, _options: object, callback: unknown) => {
    const addresses = ['127.0.0.2', '::1', '127.0.0.1'];
    const answers = addresses.map((address) => ({ address, family: net.isIP(address) }));
    (callback as (e: null, all: object[]) => void)(null, answers);
  }) as unknown as net.LookupFunction;
  const { length } = made(binding.transport).requests;
  const client = net.connect({ port, host: 'a.internal', lookup: all, autoSelectFamily: true });
  t.equal(String(await readAll(client)), 'rdma');
  const requests = made(binding.transport).requests.slice(length);
  t.strictSame(requests, [`127.0.0.2#${port}`, `::1#${port}`, `127.0.0.1#${port}`]);
  if (!client.closed) await once(client, 'close');
  client.connect({ port, host: '127.0.0.1' });
  t.equal(String(await readAll(client)), 'local');
  t.equal(info(client).rule, undefined);
  await close(server);
});

test('the order of a rule is the order of trying', async (t) => {
  const server = net.createServer();
  const port = await serve(server, ['local', 'rdma']);
  configure({ rules: 'connect * rdma,local' });
  made(binding.transport).answers.set('127.0.0.1', Status.ConnectionRejected);
  t.equal(await reach(port), 'local');
  configure({ rules: 'connect * rdma' });
  const { length } = made(binding.local.transport).lookUps;
  t.equal(await reach(port), 'tcp');
  t.equal(made(binding.local.transport).lookUps.length, length, 'nothing else is looked up');
  await close(server);
});

test('a rule for TCP is the reason, and the socket knows its rule', async (t) => {
  const server = net.createServer();
  const port = await serve(server, ['local', 'rdma']);
  configure({ rules: `listen * rdma\n  connect *:${port}  tcp # this` });
  const before = stats().fallbacks['rule-tcp'] ?? 0;
  const client = net.connect(port, '127.0.0.1');
  await readAll(client);
  const text = `connect *:${port}  tcp`;
  t.strictSame(info(client).rule, { text, source: 'rules', line: 2 });
  t.match(info(client).reason, { code: 'rule-tcp', detail: `${text} (rules, line 2)` });
  t.equal(stats().fallbacks['rule-tcp'], before + 1);
  configure({ rules: [{ transports: 'rdma' }] });
  const other = net.connect(port, '127.0.0.1');
  await readAll(other);
  t.match(info(other), { transport: 'rdma', rule: { text: '* *:* rdma', source: 'rules[0]' } });
  await close(server);
});

test('require in a rule is an error where it would be TCP', async (t) => {
  const port = await closedPort();
  configure({ mode: 'off' });
  const server = net.createServer();
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  configure({ mode: 'prefer', rules: 'connect 127.0.0.0/8 require rdma' });
  const client = net.connect(port, '127.0.0.1');
  const [error] = (await once(client, 'error')) as [ErrorWithCause];
  t.match(error, { code: 'ECONNREFUSED', syscall: 'connect', address: '127.0.0.1', port });
  t.equal(error.cause?.code, 'ERR_RDMA_CONNECTION_REFUSED');
  t.match(info(client).rule, { text: 'connect 127.0.0.0/8 require rdma' });
  await close(server);
});

test('rules without a mode have that of all, and others their own', async (t) => {
  configure({ mode: 'off' });
  const server = net.createServer((socket) => socket.end('tcp'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const port = portOf(server);
  configure({ mode: 'require' });
  for (const rules of ['connect * tcp', 'connect * rdma,tcp', 'connect * prefer rdma']) {
    configure({ rules });
    t.equal(await reach(port), 'tcp', rules);
    peers.clear();
  }
  configure({ rules: 'connect * rdma' });
  const [error] = (await once(net.connect(port, '127.0.0.1'), 'error')) as [ErrorWithCause];
  t.equal(error.code, 'ECONNREFUSED');
  configure({ mode: 'off', rules: 'connect * require rdma' });
  t.equal(await reach(port), 'tcp', 'off is off');
  await close(server);
});

test('a rule for listen says how a server can be reached', async (t) => {
  const cases: [rules: string, transports: string[]][] = [
    ['listen 127.0.0.1 rdma', ['rdma']],
    ['listen localhost local', ['local']],
    ['listen 0.0.0.0 tcp', ['local', 'rdma']],
    ['connect * tcp', ['local', 'rdma']],
    ['listen * rdma,local', ['local', 'rdma']],
    ['listen * tcp', []],
  ];
  for (const [rules, transports] of cases) {
    configure({ rules });
    const server = net.createServer();
    await serve(server, transports);
    t.strictSame(info(server).transports, [...transports, 'tcp'], rules);
    await close(server);
  }
  configure({ rules: 'listen * tcp' });
  const server = net.createServer();
  await serve(server, []);
  t.match(info(server), { reason: { code: 'rule-tcp' }, rule: { text: 'listen * tcp', line: 1 } });
  t.match(info(server).reasons, { local: { code: 'rule-tcp' }, rdma: { code: 'rule-tcp' } });
  await close(server);
  configure({ rules: 'listen * rdma' });
  server.listen(0, '127.0.0.1');
  await until(() => info(server).transports.length === 2);
  t.match(info(server), { transport: 'rdma', reason: undefined });
  t.equal(info(server).reasons.local?.code, 'local-off');
  await close(server);
});

test('require in a rule for listen is an error of listen', async (t) => {
  configure({ rules: 'listen * require rdma' });
  made(binding.transport).listenStatus = Status.AddressInUse;
  const server = net.createServer();
  server.listen(0, '127.0.0.1');
  const [error] = (await once(server, 'error')) as [ErrorWithCause];
  t.match(error, { code: 'EADDRINUSE', syscall: 'listen' });
  made(binding.transport).listenStatus = Status.Ok;
});

test('a rule with tls is for TLS sockets, and others use TCP', async (t) => {
  configure({ rules: '* * tls rdma' });
  const plain = net.createServer();
  const port = await serve(plain, []);
  t.equal(info(plain).reason?.code, 'rule-tls');
  const client = net.connect(port, '127.0.0.1');
  t.equal(String(await readAll(client)), 'tcp');
  t.match(info(client).reason, { code: 'rule-tls', detail: '* * tls rdma (rules, line 1)' });
  const secure = tls.createServer(serverTls);
  const securePort = await serve(secure, ['rdma']);
  const socket = tls.connect({ port: securePort, host: '127.0.0.1', ...clientTls });
  t.equal(String(await readAll(socket)), 'rdma');
  t.match(info(socket), { transport: 'rdma', rule: { text: '* * tls rdma' } });
  await close(plain);
  await close(secure);
});

test('a rule with tls holds for https', async (t) => {
  configure({ rules: '* * tls local' });
  const server = https.createServer(serverTls, (request, response) => {
    response.end(String(request.socket.transport));
  });
  server.listen(0, '127.0.0.1');
  await until(() => info(server).transports.join() === 'local,tcp');
  const url = `https://127.0.0.1:${portOf(server)}`;
  const [response] = (await once(https.get(url, { ...clientTls, agent: false }), 'response')) as [
    AsyncIterable<Buffer>,
  ];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  t.equal(String(Buffer.concat(chunks)), 'local');
  await close(server);
});

test('require and tls together refuse what has no TLS', async (t) => {
  const port = await closedPort();
  configure({ rules: '* * require tls rdma' });
  const client = net.connect(port, '127.0.0.1');
  const [refused] = (await once(client, 'error')) as [ErrorWithCause];
  t.match(refused, { code: 'EACCES', cause: { reason: { code: 'rule-tls' } } });
  const server = net.createServer();
  server.listen(0, '127.0.0.1');
  const [error] = (await once(server, 'error')) as [ErrorWithCause];
  t.match(error, { code: 'EACCES', cause: { reason: { code: 'rule-tls' } } });
});

test('a rule can allow what is not among the transports of all', async (t) => {
  configure({ transports: ['local'], rules: '* 127.0.0.1 rdma' });
  const server = net.createServer();
  const port = await serve(server, ['rdma']);
  t.equal(await reach(port), 'rdma');
  await close(server);
});

void t.test('what would be done can be asked without doing it', (t) => {
  const rules = 'connect *.internal:5432 require tls rdma; listen * tcp';
  configure({ transports: ['local', 'rdma'], rules });
  const about = {
    direction: 'connect',
    name: 'db.internal',
    address: '10.0.0.1',
    port: 5432,
  } as const;
  t.match(explainRule({ ...about, isTls: () => true }), {
    mode: 'require',
    transports: ['rdma'],
    reason: undefined,
    rule: { text: 'connect *.internal:5432 require tls rdma' },
  });
  t.match(explainRule({ ...about, isTls: () => false }), {
    mode: 'require',
    transports: [],
    reason: { code: 'rule-tls' },
  });
  t.match(explainRule({ ...about, port: 1, isTls: () => false }), {
    mode: 'prefer',
    transports: ['local', 'rdma'],
    reason: undefined,
    rule: undefined,
  });
  t.end();
});
