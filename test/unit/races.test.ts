import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import t, { type Test } from 'tap';
import { setBinding } from '../../lib/binding';
import { peers, slowServers } from '../../lib/connect';
import { info } from '../../lib/info';
import { configure } from '../../lib/install';
import { Status } from '../../lib/native-status';
import { Echo, lookupOf, talk } from './echo';
import type { Answer, FakeTransport } from './fake-transport';
import { close, closedPort, fakeTransports, listen, portOf, turn, until } from './support';

const HOST = '127.0.0.1';
const LONG_MS = 60_000;

const binding = fakeTransports();
let local: FakeTransport;
let rdma: FakeTransport;

interface ConnectError extends NodeJS.ErrnoException {
  errors?: ConnectError[];
}

/** Shared memory finds nobody, unless a test wants it. */
function test(name: string, body: (t: Test) => Promise<void>): void {
  void t.test(name, async (t) => {
    configure({ mode: 'prefer', headStartMs: 50, transports: ['rdma'] });
    peers.clear();
    slowServers.clear();
    await body(t);
    configure({ mode: 'prefer' });
    for (const transport of [local, rdma]) {
      transport.answers.clear();
      transport.opened = true;
      await until(() => transport.openConnections === 0 && !transport.referenced);
      t.equal(transport.openListeners, 0, 'no listener is left');
    }
  });
}

async function answering(answer: Answer): Promise<[number, Echo]> {
  const echo = new Echo();
  const port = await listen(echo.server, HOST);
  rdma.answers.set(`${HOST}#${port}`, answer);
  return [port, echo];
}

/** The errors of a socket until it is closed. */
function closed(client: net.Socket): Promise<ConnectError[]> {
  const errors: ConnectError[] = [];
  client.on('error', (error) => errors.push(error));
  return new Promise((resolve) => {
    client.once('close', () => {
      resolve(errors);
    });
  });
}

/** A server at a port where nobody listens over TCP. Call the result when a socket is connected. */
function listenOverRdmaOnly(port: number): (client: net.Socket) => Promise<void> {
  const id = rdma.listen(HOST, port, 5);
  return async (client) => {
    const end = closed(client.destroy());
    rdma.close(id);
    await end;
    for (const other of rdma.connectionIds) rdma.reset(other);
  };
}

// TCP starts in the tick of 'connectionAttempt', and its end comes later from the event loop.
function whenTcpHasBegun(client: net.Socket, then: () => void): void {
  client.once('connectionAttempt', () => process.nextTick(then));
}

function answerNow(): void {
  rdma.release(rdma.heldIds[0] ?? -1);
  rdma.deliverNow();
}

t.before(async () => {
  const { server } = new Echo();
  server.listen(0, HOST);
  await until(() => info(server).transports.length === 3);
  await close(server);
  if (binding.local.transport === undefined || binding.verbs.transport === undefined) {
    throw new Error('a transport is not there');
  }
  local = binding.local.transport;
  rdma = binding.verbs.transport;
});

// --- Opening -------------------------------------------------------------------------------------

/** Whether TCP has begun, and on loopback ended, for a socket that is still connecting. */
function isTcpConnected(client: net.Socket): boolean {
  const { _handle } = client as unknown as { _handle: { getpeername(out: object): number } };
  return _handle.getpeername({}) === 0;
}

test('TCP is not kept waiting by libraries that are still being opened', async (t) => {
  configure({ headStartMs: 1 });
  const [port, echo] = await answering('hold');
  rdma.opened = false;
  const client = net.connect(port, HOST);
  await turn();
  // Timers run in the order in which they are due, however late.
  await new Promise((resolve) => setTimeout(resolve, 100));
  t.equal(isTcpConnected(client), true);
  await talk(client);
  t.equal(client.transport, 'tcp');
  t.equal(info(client).reason?.code, 'still-opening');
  const second = net.connect(port, HOST);
  await talk(second);
  t.match(info(second).reason, { code: 'still-opening', detail: 'remembered' });
  rdma.finishOpening();
  rdma.release(rdma.heldIds[0] ?? -1);
  await until(() => rdma.openConnections === 0);
  configure({ headStartMs: LONG_MS });
  rdma.answers.clear();
  const third = net.connect(port, HOST);
  await talk(third);
  t.equal(third.transport, 'rdma');
  t.strictSame(echo.transports, ['tcp', 'tcp', 'rdma']);
  await close(echo.server);
});

for (const [answer, code] of [
  ['normal', undefined],
  ['silent', 'peer-silent'],
  [Status.ConnectionRefused, 'peer-refused'],
  [Status.NoRoute, 'no-route'],
] as const) {
  test(`a peer that had no time to answer is known later (${answer})`, async (t) => {
    configure({ headStartMs: 1 });
    const [port, echo] = await answering('hold');
    rdma.opened = false;
    const { vanished } = rdma;
    const client = net.connect(port, HOST);
    await talk(client);
    t.equal(peers.recall(HOST, port)?.code, 'still-opening');
    rdma.finishOpening();
    if (answer !== 'silent') rdma.release(rdma.heldIds[0] ?? -1, answer === 'normal' ? 0 : answer);
    await until(() => rdma.openConnections === 0);
    await turn();
    t.equal(peers.recall(HOST, port)?.code, code);
    t.equal(peers.recall(HOST, 1)?.code, answer === Status.ConnectionRefused ? undefined : code);
    const hasFailed = answer !== 'normal' && answer !== 'silent';
    t.equal(rdma.vanished, vanished + (hasFailed ? 0 : 1));
    t.strictSame(echo.transports, ['tcp'], 'the program has seen one connection');
    await close(echo.server);
  });
}

test('what is learnt later of a peer holds nobody up', async (t) => {
  configure({ headStartMs: 0 });
  const [port, echo] = await answering('hold');
  const timers = (): number =>
    process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = timers();
  const client = net.connect(port, HOST);
  whenTcpHasBegun(client, () => configure({ headStartMs: LONG_MS }));
  await talk(client);
  t.equal(info(client).reason?.code, 'peer-silent');
  t.equal(peers.recall(HOST, port)?.code, 'peer-silent');
  t.equal(rdma.openConnections, 1);
  t.equal(rdma.referenced, false);
  t.equal(timers(), before);
  rdma.release(rdma.heldIds[0] ?? -1);
  await until(() => rdma.openConnections === 0);
  t.equal(peers.recall(HOST, port), undefined);
  await close(echo.server);
});

test('once libraries are open, a silent peer delays an error by its own time only', async (t) => {
  configure({ headStartMs: 0 });
  rdma.answers.set(HOST, 'silent');
  rdma.opened = false;
  const client = net.connect(await closedPort(), HOST);
  const end = closed(client);
  await until(() => rdma.openConnections === 1);
  // The refusal of TCP takes a few turns.
  for (let turns = 0; turns < 50; turns++) await turn();
  t.equal(client.connecting, true);
  rdma.finishOpening();
  rdma.deliverNow();
  await new Promise((resolve) => setTimeout(resolve, 500));
  t.equal(client.connecting, false);
  t.match(await end, [{ code: 'ECONNREFUSED' }]);
});

test('a server for RDMA only is reached, however long opening takes', async (t) => {
  configure({ headStartMs: 1 });
  const port = await closedPort();
  const end = listenOverRdmaOnly(port);
  rdma.answers.set(HOST, 'hold');
  rdma.opened = false;
  const client = net.connect(port, HOST);
  await until(() => rdma.heldIds.length === 1);
  // Long after TCP has been refused.
  await new Promise((resolve) => setTimeout(resolve, 100));
  configure({ headStartMs: LONG_MS });
  rdma.finishOpening();
  await turn();
  answerNow();
  t.equal(client.transport, 'rdma');
  await end(client);
});

// --- Who wins ------------------------------------------------------------------------------------

test('a peer that drops requests silently costs one head start', async (t) => {
  const [port, echo] = await answering('silent');
  const requests = rdma.requests.length;
  for (let round = 0; round < 3; round++) {
    const client = net.connect(port, HOST);
    await talk(client);
    t.match(info(client).reason, {
      code: 'peer-silent',
      detail: round === 0 ? '' : 'remembered',
    });
  }
  t.equal(rdma.requests.length, requests + 1);
  t.strictSame(echo.transports, ['tcp', 'tcp', 'tcp']);
  await close(echo.server);
});

/** A server whose queue is full: it answers no TCP connection, and refuses none. */
async function unansweringServer(t: Test): Promise<number> {
  const script = `
    const server = require('node:net').createServer().listen({ port: 0, host: '${HOST}', backlog: 1 });
    server.once('listening', () => {
      require('node:fs').writeSync(1, String(server.address().port));
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    });`;
  const child = spawn(process.execPath, ['-e', script], {
    env: {},
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [chunk] = (await once(child.stdout, 'data')) as [Buffer];
  const port = Number(chunk.toString());
  configure({ mode: 'off' });
  const waiting = [net.connect(port, HOST), net.connect(port, HOST)];
  await Promise.all(waiting.map((socket) => once(socket, 'connect')));
  configure({ mode: 'prefer' });
  t.teardown(async () => {
    child.kill('SIGKILL');
    for (const socket of waiting) socket.on('error', () => undefined).destroy();
    await once(child, 'close');
  });
  return port;
}

test('where TCP is not answered at all, an answer over RDMA is taken in the end', async (t) => {
  const port = await unansweringServer(t);
  const id = rdma.listen(HOST, port, 5);
  configure({ headStartMs: 0 });
  rdma.answers.set(HOST, 'hold');
  const client = net.connect(port, HOST);
  const connects: unknown[] = [];
  client.on('connect', () => connects.push(client.transport));
  whenTcpHasBegun(client, answerNow);
  await once(client, 'connect');
  const end = closed(client);
  // The TCP handle is closed with its request, and the fake server forgets whom it accepted.
  for (let turns = 0; turns < 10; turns++) await turn();
  t.strictSame(connects, ['rdma']);
  t.equal(peers.recall(HOST, port), undefined);
  rdma.close(id);
  client.destroy();
  t.match(await end, [{ code: 'ECONNRESET' }]);
});

test('an answer that is held is not taken while TCP is about to say that it has connected', async (t) => {
  const [port, echo] = await answering('hold');
  configure({ headStartMs: 0 });
  const client = net.connect(port, HOST);
  whenTcpHasBegun(client, () => {
    answerNow();
    // The time to hold it goes by before the event loop looks at TCP again.
    const endMs = performance.now() + 100;
    while (performance.now() < endMs);
  });
  await talk(client);
  t.equal(client.transport, 'tcp');
  t.equal(info(client).reason?.code, 'tcp-first');
  t.strictSame(echo.transports, ['tcp']);
  await close(echo.server);
});

for (const answer of ['silent', Status.ConnectionRefused] as const) {
  test(`when TCP is refused and RDMA answers ${answer}, the next error comes at once`, async (t) => {
    const port = await closedPort();
    rdma.answers.set(HOST, answer);
    const requests = rdma.requests.length;
    for (let round = 0; round < 2; round++) {
      const errors = await closed(net.connect(port, HOST));
      t.match(errors, [{ code: 'ECONNREFUSED', address: HOST, port }]);
      t.equal(errors.length, 1);
    }
    t.equal(rdma.requests.length, requests + 1);
  });
}

// --- Several addresses ---------------------------------------------------------------------------

function connectBy(port: number, ...addresses: string[]): net.Socket {
  return net.connect({
    port,
    host: 'two.test',
    lookup: lookupOf(...addresses),
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: 100,
  });
}

const firstAddress: [string, Answer, string[], string][] = [
  ['has TCP only', Status.ConnectionRefused, ['127.0.0.2', HOST], 'tcp'],
  ['refuses both', Status.ConnectionRefused, ['127.0.0.3', HOST], 'rdma'],
  ['has no route for RDMA, and refuses TCP', Status.NoRoute, ['127.0.0.3', HOST], 'rdma'],
  ['is silent, and refuses TCP', 'silent', ['127.0.0.3', HOST], 'rdma'],
  ['has RDMA, and the second has not', Status.ConnectionRefused, [HOST, '127.0.0.2'], 'rdma'],
];

for (const [what, answer, addresses, transport] of firstAddress) {
  test(`of two addresses where the first ${what}, one is used, over ${transport}`, async (t) => {
    const [port, echo] = await answering('normal');
    const other = new Echo();
    if (addresses.includes('127.0.0.2')) {
      configure({ mode: 'off' });
      other.server.listen(port, '127.0.0.2');
      await once(other.server, 'listening');
      configure({ mode: 'prefer' });
    }
    rdma.answers.set(`127.0.0.2#${port}`, answer);
    rdma.answers.set(`127.0.0.3#${port}`, answer);
    const client = connectBy(port, ...addresses);
    await once(client, 'connect');
    await talk(client);
    t.equal(client.transport, transport);
    t.strictSame([...echo.transports, ...other.transports], [transport]);
    await close(echo.server);
    if (other.server.listening) await close(other.server);
  });
}

test('when all addresses are refused over both, the error is that of net', async (t) => {
  const port = await closedPort();
  const seen: unknown[] = [];
  for (const mode of ['off', 'prefer'] as const) {
    configure({ mode });
    rdma.answers.set(`127.0.0.2#${port}`, Status.ConnectionRefused);
    rdma.answers.set(`${HOST}#${port}`, Status.ConnectionRefused);
    const errors = await closed(connectBy(port, '127.0.0.2', HOST));
    seen.push(errors.map(({ code, message, errors }) => ({ code, message, errors })));
  }
  t.equal((seen[0] as unknown[]).length, 1);
  t.same(seen[1], seen[0]);
});

// --- How addresses are written -------------------------------------------------------------------

test('an IPv4 address inside an IPv6 one is the same peer, and is shown as TCP shows it', async (t) => {
  const views: unknown[] = [];
  const servers: unknown[] = [];
  const server = net.createServer((socket) => {
    const { remoteAddress, remoteFamily, localAddress, localFamily } = socket;
    servers.push({ remoteAddress, remoteFamily, localAddress, localFamily });
    socket.pipe(socket);
  });
  const port = await listen(server, '::');
  for (const mode of ['off', 'prefer'] as const) {
    configure({ mode });
    for (const host of ['::ffff:127.0.0.1', HOST]) {
      const client = net.connect(port, host);
      await once(client, 'connect');
      const { remoteAddress, remoteFamily, localAddress, localFamily, transport } = client;
      t.equal(transport, mode === 'off' ? 'tcp' : 'rdma');
      views.push({ remoteAddress, remoteFamily, localAddress, localFamily });
      await talk(client);
    }
  }
  t.same(views.slice(2), views.slice(0, 2));
  t.same(servers.slice(2), servers.slice(0, 2));
  await close(server);
});

test('what is remembered of a peer holds for all ways to write its address', async (t) => {
  const [port, echo] = await answering(Status.ConnectionRefused);
  const requests = rdma.requests.length;
  for (const host of ['::ffff:127.0.0.1', HOST, '::FFFF:7f00:1']) {
    const client = net.connect(port, host);
    await talk(client);
    t.equal(info(client).reason?.code, 'peer-refused');
  }
  t.equal(rdma.requests.length, requests + 1);
  await close(echo.server);
});

test('the scope of an IPv6 address goes where the address goes', async (t) => {
  configure({ headStartMs: LONG_MS });
  rdma.answers.set('fe80::1%lo', 'silent');
  const client = net.connect(9, 'fe80::1%lo');
  await until(() => rdma.openConnections === 1);
  t.equal(rdma.requests.at(-1), 'fe80::1%lo#9');
  client.destroy();
  await once(client, 'close');
});

test('no device is asked for loopback addresses, and for what the kernel takes for them', async (t) => {
  setBinding(binding, { ownsLoopback: false });
  configure({ mode: 'off' });
  const echo = new Echo();
  echo.server.listen(0, '::');
  await once(echo.server, 'listening');
  configure({ mode: 'prefer' });
  const requests = rdma.requests.length;
  for (const host of [HOST, '::1', '0.0.0.0', '::', '::ffff:127.0.0.1', 'localhost']) {
    const client = net.connect(portOf(echo.server), host);
    await talk(client);
    t.equal(info(client).reason?.code, 'loopback', host);
  }
  t.equal(rdma.requests.length, requests);
  setBinding(binding, { ownsLoopback: true });
  await close(echo.server);
});

// --- Giving up -----------------------------------------------------------------------------------

interface Phase {
  name: string;
  /** What RDMA answers, and shared memory if it is asked. */
  answer: Answer;
  local?: Answer;
  headStartMs: number;
  /** Whether somebody listens on TCP. */
  refused?: boolean;
  opened?: boolean;
  /** What the program of the server may see. */
  sees?: string[];
  reached(client: net.Socket): Promise<unknown>;
}

const asked = (transport: () => FakeTransport) => () =>
  until(() => transport().openConnections === 1);

/** The turn in which TCP has begun, and nothing has come back. */
const tcpBegun = (client: net.Socket): Promise<void> =>
  new Promise((resolve) => {
    whenTcpHasBegun(client, resolve);
  });

const phases: Phase[] = [
  {
    name: 'while its name is looked up',
    answer: 'normal',
    headStartMs: LONG_MS,
    reached: turn,
  },
  {
    name: 'while shared memory is tried',
    answer: 'normal',
    local: 'silent',
    headStartMs: LONG_MS,
    reached: asked(() => local),
  },
  {
    name: 'while RDMA is tried after shared memory',
    answer: 'silent',
    local: Status.TimedOut,
    headStartMs: LONG_MS,
    reached: asked(() => rdma),
  },
  {
    name: 'while libraries and devices are being opened',
    answer: 'silent',
    headStartMs: LONG_MS,
    opened: false,
    reached: asked(() => rdma),
  },
  {
    name: 'while RDMA is silent',
    answer: 'silent',
    headStartMs: LONG_MS,
    reached: asked(() => rdma),
  },
  {
    name: 'when RDMA has just answered',
    answer: 'normal',
    headStartMs: LONG_MS,
    reached: (client) => once(client, 'connectionAttempt'),
  },
  {
    name: 'when RDMA has just been refused',
    answer: Status.ConnectionRefused,
    headStartMs: LONG_MS,
    reached: (client) => once(client, 'connectionAttempt'),
  },
  {
    name: 'when both are tried',
    answer: 'silent',
    headStartMs: 0,
    reached: tcpBegun,
  },
  {
    name: 'when an answer is held',
    answer: 'hold',
    headStartMs: 0,
    reached: async (client) => {
      await tcpBegun(client);
      answerNow();
    },
  },
  {
    name: 'when TCP has failed and RDMA is waited for',
    answer: 'silent',
    headStartMs: 0,
    refused: true,
    reached: async (client) => {
      await tcpBegun(client);
      configure({ headStartMs: LONG_MS });
      // The refusal of TCP takes a few turns.
      for (let turns = 0; turns < 50; turns++) await turn();
    },
  },
  {
    name: 'when it has connected over TCP',
    answer: Status.ConnectionRefused,
    headStartMs: LONG_MS,
    sees: ['tcp'],
    reached: (client) => once(client, 'connect'),
  },
  {
    name: 'when it has connected over RDMA',
    answer: 'normal',
    headStartMs: LONG_MS,
    sees: ['rdma'],
    reached: (client) => once(client, 'connect'),
  },
];

for (const phase of phases) {
  for (const how of ['destroyed', 'aborted'] as const) {
    test(`a socket that is ${how} ${phase.name} leaves nothing behind`, async (t) => {
      const echo = new Echo();
      let port = await closedPort();
      if (!phase.refused) {
        echo.server.listen(0, HOST);
        await until(() => info(echo.server).transports.includes('rdma'));
        port = portOf(echo.server);
      }
      const transports = phase.local === undefined ? ['rdma'] : ['local', 'rdma'];
      configure({ headStartMs: phase.headStartMs, transports: transports as ('local' | 'rdma')[] });
      rdma.answers.set(HOST, phase.answer);
      if (phase.local !== undefined) local.answers.set(HOST, phase.local);
      rdma.opened = phase.opened ?? true;
      const isNamed = phase.name.includes('name');
      let found = (): void => undefined;
      const lookup: net.LookupFunction = (_host, _options, callback) => {
        found = () => {
          callback(null, HOST, 4);
        };
      };
      const abort = new AbortController();
      const client = net.connect({
        port,
        ...(isNamed ? { host: 'late.test', lookup } : { host: HOST }),
        ...(how === 'aborted' ? { signal: abort.signal } : {}),
      });
      const end = closed(client);
      await phase.reached(client);
      const fallbacks: unknown[] = [];
      const onFallback = (message: unknown): void => void fallbacks.push(message);
      subscribe('rdma-net:fallback', onFallback);
      const requests = rdma.requests.length;
      if (how === 'destroyed') client.destroy();
      else abort.abort();
      // What has happened already comes before 'close'.
      rdma.deliverNow();
      const errors = await end;
      found();
      rdma.finishOpening();
      for (let turns = 0; turns < 10; turns++) await turn();
      unsubscribe('rdma-net:fallback', onFallback);
      t.strictSame(
        errors.map(({ name }) => name),
        how === 'destroyed' ? [] : ['AbortError'],
      );
      t.strictSame(fallbacks, [], 'no reason is given for a choice that nobody made');
      t.equal(rdma.requests.length, requests, 'nothing is begun any more');
      if (how === 'destroyed') t.equal(client.listenerCount('close'), 0);
      if (echo.server.listening) await close(echo.server);
      const seen = echo.transports.filter((transport) => transport !== 'tcp' || phase.sees);
      t.strictSame(seen, phase.sees ?? []);
    });
  }
}

test('a socket that is destroyed and connected again at once does connect', async (t) => {
  const [port, echo] = await answering('hold');
  configure({ mode: 'off', headStartMs: LONG_MS });
  const client = net.connect(port, HOST);
  await once(client, 'connect');
  configure({ mode: 'prefer' });
  client.destroy();
  client.connect(port, HOST);
  // The end of the former connection comes while it connects.
  await once(client, 'close');
  t.equal(client.connecting, true);
  answerNow();
  t.equal(client.transport, 'rdma');
  const end = closed(client);
  client.destroy();
  await end;
  t.strictSame(echo.transports, ['tcp', 'rdma']);
  await close(echo.server);
});

// --- Servers of this host ------------------------------------------------------------------------

test('a server of this host that let a client wait is waited for once', async (t) => {
  configure({ headStartMs: 1, transports: ['local', 'rdma'] });
  const echo = new Echo();
  echo.server.listen(0, HOST);
  await until(() => info(echo.server).transports.includes('local'));
  const port = portOf(echo.server);
  rdma.answers.set(HOST, Status.ConnectionRefused);
  local.answers.set(HOST, 'silent');
  const tookMs: number[] = [];
  for (let round = 0; round < 2; round++) {
    const startMs = performance.now();
    const client = net.connect(port, HOST);
    await once(client, 'connect');
    tookMs.push(performance.now() - startMs);
    await talk(client);
    t.equal(info(client).reason?.code, 'local-slow');
  }
  const [firstMs = 0, secondMs = 0] = tookMs;
  t.ok(firstMs >= 1000, `${firstMs} ms`);
  t.ok(secondMs < firstMs, `${secondMs} ms`);
  local.answers.clear();
  configure({ headStartMs: LONG_MS });
  const client = net.connect(port, HOST);
  await talk(client);
  t.equal(client.transport, 'local');
  t.equal(slowServers.recall(HOST, port), undefined, 'it has answered');
  await close(echo.server);
});
