import path from 'node:path';
import t from 'tap';
import { libFolder, runNode, testFolder, type ChildResult } from './support';

const preload = path.join(libFolder, 'preload.js');
const fake = path.join(testFolder, 'fake-preload.js');

/** A server and a client with plain net; prints what both run on, and why. */
const talk = `
  const net = require('node:net');
  const server = net.createServer((socket) => {
    socket.pipe(socket);
    socket.on('close', () => console.log('server', socket.transport));
  });
  function connect() {
    const client = net.connect(server.address().port, '127.0.0.1');
    let transport;
    client.end('hello').on('data', (data) => console.log(String(data)));
    client.on('connect', () => { transport = client.transport; });
    client.on('close', () => {
      const { info } = require('rdma-net');
      const { reason } = info(client);
      console.log('client', transport, reason?.code ?? '-', reason?.detail ?? '');
      server.close();
    });
  }
  server.listen(0, '127.0.0.1', globalThis.wait === true ? undefined : connect);
`;
const talkOverRdma = `globalThis.wait = true; ${talk} whenRdma(server, connect);`;

function lines({ stdout, stderr, code }: ChildResult): string[] {
  const text = stdout.split('\n').filter((line) => line !== '');
  if (code !== 0) text.push(`status ${code}`, stderr);
  return text.map((line) => line.trim()).sort();
}

t.test('the preload enables RDMA for a program that knows nothing of it', async (t) => {
  const result = await runNode(['-r', fake, '-r', 'rdma-net/preload', '-e', talkOverRdma]);
  t.strictSame(lines(result), ['client rdma -', 'hello', 'server rdma']);
});

t.test('the preload can be given with --import and with NODE_OPTIONS', async (t) => {
  const imported = await runNode(['-r', fake, '--import', 'rdma-net/preload', '-e', talkOverRdma]);
  t.strictSame(lines(imported), ['client rdma -', 'hello', 'server rdma']);
  const options = { NODE_OPTIONS: `-r "${fake}" -r rdma-net/preload` };
  const inherited = await runNode(['-e', talkOverRdma], options);
  t.strictSame(lines(inherited), ['client rdma -', 'hello', 'server rdma']);
});

t.test('a program meets another of this host over shared memory first', async (t) => {
  const environment = { RDMA_NET_TRANSPORTS: 'local,rdma', NODE_DEBUG: 'rdma-net' };
  const args = ['-r', fake, '-r', 'rdma-net/preload', '-e', talkOverRdma];
  const result = await runNode(args, environment);
  t.strictSame(lines(result), ['client local -', 'hello', 'server local']);
  t.match(result.stderr, /can be reached over local/);
  t.match(result.stderr, /connected over local/);
});

t.test('without a device everything is TCP, with the reason', async (t) => {
  const environment = { FAKE_PROBE: '202', NODE_DEBUG: 'rdma-net' };
  const result = await runNode(['-r', fake, '-r', 'rdma-net/preload', '-e', talk], environment);
  t.strictSame(lines(result), ['client tcp no-device', 'hello', 'server tcp']);
  t.match(result.stderr, /goes to TCP: no-device/);
});

t.test('loopback addresses go to TCP where no device owns them', async (t) => {
  const environment = { FAKE_LOOPBACK: 'no' };
  const result = await runNode(['-r', fake, '-r', 'rdma-net/preload', '-e', talk], environment);
  t.strictSame(lines(result), ['client tcp loopback', 'hello', 'server tcp']);
});

t.test('RDMA_NET=off leaves net as it is', async (t) => {
  const script = `
    const { prototype } = process.binding('tcp_wrap').TCP;
    console.log(String(prototype.connect).includes('native code'));
    ${talk}`;
  const environment = { RDMA_NET: 'off', NODE_DEBUG: 'rdma-net' };
  const result = await runNode(['-r', 'rdma-net/preload', '-e', script], environment);
  t.strictSame(lines(result), ['client tcp mode-off', 'hello', 'server tcp', 'true']);
  t.match(result.stderr, /^RDMA-NET \d+: plain net: mode-off/);
});

t.test('a mistake in the environment stops the program at its start', async (t) => {
  const environment = { RDMA_NET: 'on' };
  const result = await runNode(['-r', 'rdma-net/preload', '-e', 'console.log(1)'], environment);
  t.equal(result.code, 1);
  t.equal(result.stdout, '');
  t.match(result.stderr, /RDMA_NET is "on"; expected "prefer", "require" or "off"/);
});

t.test('a mistake in a rule stops the program at its start, and tells where it is', async (t) => {
  const environment = { RDMA_NET_RULES: '# first\nconnect *:80 rdma; listen * tdp' };
  for (const option of ['-r', '--import']) {
    const args = [option, 'rdma-net/preload', '-e', 'console.log(1)'];
    const result = await runNode(args, environment);
    t.equal(result.code, 1);
    t.equal(result.stdout, '');
    const place =
      /ConfigurationError: RDMA_NET_RULES, line 2, column 29: found "tdp"; expected "req/;
    t.match(result.stderr, place);
  }
});

t.test('the rules of the environment hold for the programs that they name', async (t) => {
  const script = path.join(t.testdir({ 'worker.js': talk }), 'worker.js');
  const args = ['-r', fake, '-r', 'rdma-net/preload'];
  const environment = { RDMA_NET_RULES: 'program worker.js * * tcp' };
  const named = await runNode([...args, script], environment);
  t.strictSame(lines(named), [
    'client tcp rule-tcp program worker.js * * tcp (RDMA_NET_RULES, line 1)',
    'hello',
    'server tcp',
  ]);
  const other = await runNode([...args, '-e', talkOverRdma], environment);
  t.strictSame(lines(other), ['client rdma -', 'hello', 'server rdma']);
});

t.test('a worker thread is a program with the name of its own script', async (t) => {
  const folder = t.testdir({ 'worker.js': talk });
  const script = `new (require('node:worker_threads').Worker)(${JSON.stringify(`${folder}/worker.js`)})`;
  const environment = { RDMA_NET_RULES: 'program worker.js connect * tcp' };
  const args = ['-r', fake, '-r', 'rdma-net/preload', '-e', script];
  t.match(lines(await runNode(args, environment)), [/^client tcp rule-tcp/, 'hello', 'server tcp']);
});

t.test('under the permission model everything is TCP', async (t) => {
  const flag = process.allowedNodeEnvironmentFlags.has('--permission')
    ? '--permission'
    : '--experimental-permission';
  const args = [flag, '--allow-fs-read=*', '-r', 'rdma-net/preload', '-e', talk];
  // Later majors ask for the network too.
  if (process.allowedNodeEnvironmentFlags.has('--allow-net')) args.splice(1, 0, '--allow-net');
  const result = await runNode(args, { NODE_DEBUG: 'rdma-net' });
  t.match(result.stderr, /plain net: permission-model/);
  t.match(lines(result), [/^client tcp permission-model/, 'hello', 'server tcp']);
});

t.test('without the addon everything is TCP', async (t) => {
  const script = `
    const Module = require('node:module');
    const load = Module._load;
    Module._load = function (request, ...rest) {
      if (request !== 'node-gyp-build') return load.call(this, request, ...rest);
      return () => { throw new Error('No native build was found'); };
    };
    const server = require('node:net').createServer().listen(0, () => {
      const { code, detail } = require('rdma-net').info(server).reason;
      console.log(code, detail);
      server.close();
    });`;
  const result = await runNode(['-r', 'rdma-net/preload', '-e', script]);
  t.strictSame(lines(result), ['addon-missing No native build was found']);
});

t.test('a Node that differs is left alone', async (t) => {
  const script = `
    Object.defineProperty(process, '_tickCallback', { value: undefined });
    ${talk}`;
  const result = await runNode(['-r', fake, '-r', 'rdma-net/preload', '-e', script]);
  t.match(lines(result), [/^client tcp node-internals .*_tickCallback/, 'hello', 'server tcp']);
});

t.test('a fallen-back socket and its handle have the shape of native ones', async (t) => {
  const script = `
    const net = require('node:net');
    const server = net.createServer((socket) => socket.resume());
    const connect = () => new Promise((resolve) => {
      const accepted = new Promise((got) => server.once('connection', got));
      const client = net.connect(server.address().port, '127.0.0.1');
      client.once('connect', async () => resolve({ client, accepted: await accepted }));
    });
    server.listen(0, '127.0.0.1', async () => {
      const native = await connect();
      require('rdma-net/preload');
      const attempted = await connect();
      const remembered = await connect();
      for (const fallen of [attempted, remembered]) {
        console.log(fallen.client.transport, require('rdma-net').info(fallen.client).reason.code);
        for (const end of ['client', 'accepted']) {
          console.log(end, %HaveSameMap(native[end], fallen[end]),
            %HaveSameMap(native[end]._handle, fallen[end]._handle),
            %HasFastProperties(fallen[end]), fallen[end].listenerCount('close') ===
            native[end].listenerCount('close'));
        }
      }
      process.exit();
    });`;
  const result = await runNode(['--allow-natives-syntax', '-r', fake, '-e', script]);
  t.strictSame(result.stdout.trim().split('\n'), [
    'tcp peer-refused',
    'client true true true true',
    'accepted true true true true',
    'tcp peer-refused',
    'client true true true true',
    'accepted true true true true',
  ]);
});

t.test('an import enables RDMA for the sockets of the package only', async (t) => {
  const script = `
    const own = require('rdma-net');
    const net = require('node:net');
    const server = own.createServer((socket) => socket.pipe(socket));
    const plain = net.createServer((socket) => socket.pipe(socket));
    const talk = (name, socket) => new Promise((resolve) => {
      socket.on('connect', () => console.log(name, socket.transport));
      socket.end('x').resume().on('close', resolve);
    });
    server.listen(0, '127.0.0.1');
    whenRdma(server, () => plain.listen(0, '127.0.0.1', async () => {
      const { port } = server.address();
      const accepted = new Promise((resolve) => server.once('connection', resolve));
      await talk('own connect', own.connect(port, '127.0.0.1'));
      console.log('accepted', (await accepted).transport, (await accepted) instanceof own.Socket);
      await talk('own Socket', new own.Socket().connect(port, '127.0.0.1'));
      await talk('own subclass', new (class extends own.Socket {})().connect(port, '127.0.0.1'));
      await talk('without new', own.Socket().connect({ port, host: '127.0.0.1' }));
      await talk('plain', net.connect(port, '127.0.0.1'));
      await talk('to plain', own.connect(plain.address().port, '127.0.0.1'));
      console.log('plain server', own.info(plain).transport, fakeBinding.transport.openListeners);
      console.log('server', server instanceof net.Server, plain instanceof own.Server);
      plain.close();
      server.close();
    }));`;
  const result = await runNode(['-r', fake, '-e', script]);
  t.strictSame(result.stdout.trim().split('\n'), [
    'own connect rdma',
    'accepted rdma true',
    'own Socket rdma',
    'own subclass rdma',
    'without new rdma',
    'plain tcp',
    'to plain tcp',
    'plain server tcp 1',
    'server true true',
  ]);
});

t.test('the package can be imported in every form, and has all names of net', async (t) => {
  const script = `
    import net, { Socket, alloc, connect, isIP, info, stats, reasons, configure } from 'rdma-net';
    import * as all from 'rdma-net';
    import node from 'node:net';
    const missing = Object.keys(node).filter((name) =>
      !name.startsWith('_') && !(name in net && name in all));
    console.log(missing.join() || 'all names');
    console.log(net.Socket === Socket, all.connect === connect, net.isIP === isIP, isIP('::1'));
    console.log(net.info === info, net.stats === stats, net.reasons === reasons);
    console.log(net.Socket !== node.Socket, net.createConnection === net.connect);
    configure({ headStartMs: 10 });
    console.log(stats().connections, typeof reasons['no-device'].text, alloc(5), net.alloc === alloc);
    const { createRequire } = await import('node:module');
    const required = createRequire(import.meta.url)('rdma-net');
    console.log(required.Socket === Socket, required.default.Socket === Socket);`;
  const result = await runNode(['--input-type=module', '-e', script]);
  t.equal(result.stderr, '');
  t.strictSame(result.stdout.trim().split('\n'), [
    'all names',
    'true true true 6',
    'true true true',
    'true true',
    '0 string <Buffer 00 00 00 00 00> true',
    'true true',
  ]);
});

t.test('a worker thread has RDMA of its own', async (t) => {
  const script = `
    const { Worker } = require('node:worker_threads');
    const worker = new Worker(${JSON.stringify(talkOverRdma)}, { eval: true });
    worker.on('error', (error) => console.log(error.message));`;
  const result = await runNode(['-r', fake, '-r', 'rdma-net/preload', '-e', script]);
  t.strictSame(lines(result), ['client rdma -', 'hello', 'server rdma']);
});

t.test('the workers of a cluster are left on TCP, and so is what they share', async (t) => {
  const script = path.join(testFolder, 'fixtures', 'cluster.js');
  const result = await runNode(['-r', fake, '-r', 'rdma-net/preload', script]);
  t.strictSame(lines(result), ['client tcp', 'primary listeners 0', 'worker cluster-worker']);
});

t.test('internal bindings are taken without a warning', async (t) => {
  const args = ['--pending-deprecation', '-r', fake, '-r', 'rdma-net/preload', '-e', talkOverRdma];
  const result = await runNode(args);
  t.equal(result.stderr, '');
  t.strictSame(lines(result), ['client rdma -', 'hello', 'server rdma']);
});

t.test('the preload loads little', async (t) => {
  const script = `
    const loaded = Object.keys(require.cache).map((file) => require('node:path').basename(file));
    console.log(loaded.includes('handle.js'), loaded.includes('transport.js'));`;
  const result = await runNode(['-r', preload, '-e', script]);
  t.equal(result.stdout.trim(), 'false false');
});
