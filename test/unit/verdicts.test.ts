import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import net, { type LookupFunction } from 'node:net';
import t from 'tap';
import { peers } from '../../lib/connect';
import { info } from '../../lib/info';
import { configure } from '../../lib/install';
import { stats } from '../../lib/stats';
import {
  close,
  closedPort,
  fakeTransports,
  listenTcp,
  until,
  type ErrorWithCause,
} from './support';

const binding = fakeTransports();
const server = net.createServer((socket) => socket.resume());
let port: number;

/** The socket of a connection that was made, or refused, and has ended. */
async function connectTo(port: number): Promise<net.Socket> {
  const socket = net.connect(port, '127.0.0.1');
  await once(socket, 'connect').catch(() => undefined);
  socket.end();
  if (!socket.closed) await once(socket, 'close');
  return socket;
}

t.before(async () => {
  configure({ mode: 'off' });
  port = await listenTcp(server);
  configure({ mode: 'prefer' });
});

t.beforeEach(async () => {
  peers.clear();
  // What is remembered of RDMA since the first one decides about those that follow the second.
  for (let i = 0; i < 3; i++) await connectTo(port);
});

t.test('every connection that goes to TCP is told, counted and known', async (t) => {
  const told: unknown[] = [];
  const onFallback = (message: unknown): void => void told.push(message);
  const count = stats().fallbacks['local-refused'] ?? 0;
  subscribe('rdma-net:fallback', onFallback);
  const sockets = [await connectTo(port), await connectTo(port)];
  unsubscribe('rdma-net:fallback', onFallback);
  const reason = { code: 'local-refused' };
  t.match(
    told,
    sockets.map((socket) => ({ socket, address: '127.0.0.1', port, reason })),
  );
  for (const socket of sockets) t.match(info(socket), { transport: 'tcp', reason });
  t.equal(stats().fallbacks['local-refused'], count + 2);
});

t.test('who begins to watch is told of every step', async (t) => {
  const steps: unknown[] = [];
  const onAttempt = (message: unknown): void => {
    const { transport, step } = message as { transport: unknown; step: unknown };
    steps.push([transport, step]);
  };
  subscribe('rdma-net:attempt', onAttempt);
  await connectTo(port);
  unsubscribe('rdma-net:attempt', onAttempt);
  t.strictSame(steps, [
    ['local', 'fail'],
    ['rdma', 'fail'],
  ]);
});

t.test('a server that begins to listen on this host is found by the next connection', async (t) => {
  const later = await closedPort();
  for (let i = 0; i < 3; i++) t.equal((await connectTo(later)).transport, 'tcp');
  const found = net.createServer((socket) => socket.resume()).listen(later, '127.0.0.1');
  await until(() => info(found).transports.includes('local'));
  t.equal((await connectTo(later)).transport, 'local');
  await close(found);
  t.equal((await connectTo(later)).transport, 'tcp');
});

t.test('other settings hold for the next connection', async (t) => {
  configure({ mode: 'require' });
  const socket = net.connect(port, '127.0.0.1');
  const [error] = (await once(socket, 'error')) as [ErrorWithCause];
  t.equal(error.code, 'ECONNREFUSED');
  configure({ mode: 'prefer', rules: `connect 127.0.0.1:${port} tcp` });
  t.equal(info(await connectTo(port)).reason?.code, 'rule-tcp');
  configure({ rules: '' });
  t.equal(info(await connectTo(port)).reason?.code, 'local-refused');
});

t.test('a rule for a name holds where another name of the address has no rule', async (t) => {
  configure({ rules: `connect database:${port} tcp` });
  for (let i = 0; i < 3; i++) {
    t.equal(info(await connectTo(port)).reason?.code, 'local-refused');
  }
  const lookup: LookupFunction = (_name, _options, found) => {
    found(null, [{ address: '127.0.0.1', family: 4 }]);
  };
  const named = net.connect({ port, host: 'database', lookup });
  await once(named.end(), 'close');
  t.equal(info(named).reason?.code, 'rule-tcp');
  configure({ rules: '' });
});

t.test('a peer is asked over RDMA as soon as it is not remembered any more', async (t) => {
  const requests = (): number => binding.verbs.transport?.requests.length ?? NaN;
  configure({ peerMemoryMs: 300 });
  peers.clear();
  const before = requests();
  const sinceMs = performance.now();
  for (let i = 0; i < 3; i++) await connectTo(port);
  t.equal(requests(), before + 1);
  await until(
    () => performance.now() - sinceMs > 350 && peers.recall('127.0.0.1', port) === undefined,
  );
  await connectTo(port);
  t.equal(requests(), before + 2);
  configure({ peerMemoryMs: 60_000 });
});

t.teardown(() => close(server));
