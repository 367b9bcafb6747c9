/** The examples as a user runs them, judged by what they print: over shared memory and over TCP. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t from 'tap';
import { DatabaseServers } from './consumers/databases';
import { Example, HERE, type ExampleOptions } from './examples/example';
import { metricsTests } from './examples/metrics';
import { fileCopyTests, httpServerTests } from './examples/servers';
import { commandIn, dependenciesIn, folder, rsocketsPeer, setUpExamples } from './examples/setup';
import { consumersFolder } from './consumers/setup';
import { execute, executeOrFail, LabUnavailable } from './lab/execute';
import { ensurePackages } from './lab/packages';
import { here } from './rdma/place';

const report = (line: string): void => t.comment(line);

async function whyNot(): Promise<string | undefined> {
  try {
    await setUpExamples(report);
    await ensurePackages(['redis-server'], report);
    return undefined;
  } catch (error) {
    if (error instanceof LabUnavailable) return error.message;
    throw error;
  }
}

/** An example whose one program is a server, a client, or both. */
interface TwoSides {
  readonly file: string;
  readonly preload: boolean;
  /** What the client prints, for the transport of both. */
  readonly expected: (transport: string) => RegExp;
}

const twoSides: readonly TwoSides[] = [
  {
    file: 'express-fetch.js',
    preload: true,
    expected: (transport) => new RegExp(`^Hello, express! \\(over ${transport}\\)\n$`),
  },
  {
    file: 'grpc.js',
    preload: true,
    expected: (transport) => {
      // Plain net tells nothing.
      const connected = transport === 'tcp' ? '' : `connected to port \\d+ over ${transport}\n`;
      return new RegExp(`^${connected}Hello, gRPC!\nstreamed: 1 2 3 4 5\n$`);
    },
  },
  {
    file: 'tls.js',
    preload: true,
    expected: (transport) =>
      new RegExp(`^authorized: true, TLS_\\S+, over ${transport}\nHello over TLSv1.3\n$`),
  },
  {
    file: 'explicit-import.mjs',
    preload: false,
    expected: (transport) =>
      new RegExp(`^rdma-net: +${transport}\nhttp: +Hello over ${transport}\nnode:net: +tcp\n$`),
  },
];

const LISTENING = /^listening on .*:(\d+)\n/;

function twoSidesTests({ file, preload, expected }: TwoSides, cwd: string): void {
  const place = path.join(folder, file);
  const options = (env: Record<string, string>): ExampleOptions => ({ preload, cwd, env });

  for (const [mode, transport] of [
    ['prefer', 'local'],
    ['off', 'tcp'],
  ] as const) {
    void t.test(`${file} calls itself over ${transport}`, HERE, async (t) => {
      const { code, output, errors } = await Example.node(
        t,
        place,
        [],
        options({ RDMA_NET: mode }),
      ).ends();
      t.match({ code, errors }, { code: 0, errors: '' });
      t.match(output, LISTENING);
      t.match(output.replace(LISTENING, ''), expected(transport));
    });
  }

  void t.test(`${file} is a server and a client over shared memory`, HERE, async (t) => {
    const env = options({ RDMA_NET: 'prefer' });
    const server = Example.node(t, place, ['serve', '127.0.0.1', '0'], env);
    const [, port = ''] = await server.prints(LISTENING);
    const client = Example.node(t, place, ['call', '127.0.0.1', port], env);
    const { code, output, errors } = await client.ends();
    t.match({ code, errors }, { code: 0, errors: '' });
    t.match(output, expected('local'));
    t.equal((await server.interrupt()).errors, '');
  });
}

function fallbackTests(redis: number): void {
  void t.test('grpc.js tells why it calls a server without rdma-net over TCP', HERE, async (t) => {
    const server = Example.node(t, 'grpc.js', ['serve', '127.0.0.1', '0'], { preload: false });
    const [, port = ''] = await server.prints(LISTENING);
    const { code, output } = await Example.node(t, 'grpc.js', ['call', '127.0.0.1', port]).ends();
    t.equal(code, 0);
    t.equal(
      output,
      `connecting to port ${port} over tcp: local-refused\nHello, gRPC!\nstreamed: 1 2 3 4 5\n`,
    );
    await server.interrupt();
  });

  const args = ['127.0.0.1', String(redis)];

  void t.test('redis.js uses Redis over TCP, and tells why', HERE, async (t) => {
    const { code, output, errors } = await Example.node(t, 'redis.js', args).ends();
    t.match({ code, errors }, { code: 0, errors: '' });
    t.match(
      output,
      /^Hello, Redis!\ntransport: tcp\nbecause: +local-refused: \S.*\nto do: +\S.*\n$/,
    );
  });

  void t.test('redis.js fails where TCP is not good enough', HERE, async (t) => {
    const env = { RDMA_NET: 'require' };
    const { code, output, errors } = await Example.node(t, 'redis.js', args, { env }).ends();
    t.match({ code, output }, { code: 1, output: '' });
    t.match(errors, /ECONNREFUSED .* \(Nobody with rdma-net listens on this host/);
  });
}

function workerTests(): void {
  void t.test('worker-threads.js counts for each thread what it has sent', HERE, async (t) => {
    const { code, output, errors } = await Example.node(t, 'worker-threads.js').ends();
    t.match({ code, errors }, { code: 0, errors: '' });
    const MEBIBYTE = 1024 * 1024;
    const lines = [0, 1, 2].flatMap((worker) => [
      `worker ${worker}: ${MEBIBYTE} bytes came back over local`,
      `worker ${worker}: rdma-net sent ${MEBIBYTE} bytes for this thread`,
    ]);
    const last = `main thread: rdma-net sent ${3 * MEBIBYTE} bytes for this thread`;
    t.strictSame(output.trimEnd().split('\n').sort(), [last, ...lines].sort());
  });
}

function rsocketsPeerTests(): void {
  void t.test('rsockets-peer.c is compiled by the command at its head, and runs', async (t) => {
    t.equal(commandIn('rsockets-peer.c', 'cc '), commandIn('rsockets-peer.js', 'cc '));
    const { status, stderr } = await execute(rsocketsPeer, []);
    t.equal(status, 2);
    t.match(stderr, /usage: .*rsockets-peer serve\|call HOST PORT/);
  });

  void t.test('rsockets-peer.js tells another Node program from one in C', HERE, async (t) => {
    const options = { preload: false };
    const server = Example.node(t, 'rsockets-peer.js', ['serve', '127.0.0.1', '0'], options);
    const [, port = ''] = await server.prints(LISTENING);
    const client = Example.node(t, 'rsockets-peer.js', ['call', '127.0.0.1', port], options);
    t.match(await client.ends(), {
      code: 0,
      output: 'connected to rdma-net over local\nHello from JavaScript\n',
      errors: '',
    });
    await server.prints(/^22 bytes from rdma-net over local$/m);
    t.equal((await server.interrupt()).errors, '');
  });
}

function versionTests(): void {
  void t.test('what is tested are the versions that a user installs', (t) => {
    const tested = dependenciesIn(consumersFolder);
    for (const [name, version] of Object.entries(dependenciesIn(folder))) {
      t.equal(version, name === 'rdma-net' ? 'file:..' : tested[name], name);
    }
    t.end();
  });
}

async function allTests(): Promise<void> {
  const keys = mkdtempSync(path.join(tmpdir(), 'rdma-net-keys-'));
  t.teardown(() => rmSync(keys, { recursive: true }));
  await executeOrFail('sh', ['-c', commandIn('tls.js', 'openssl ')], { cwd: keys });
  const databases = new DatabaseServers();
  t.teardown(() => databases.stop());
  const redis = (await databases.start(['redis'])).get('redis');
  if (typeof redis !== 'object') throw new Error(redis);

  versionTests();
  for (const transport of ['local', 'tcp'] as const) {
    httpServerTests(here(transport, 4), HERE);
    fileCopyTests(here(transport, 4), HERE);
  }
  for (const example of twoSides) twoSidesTests(example, keys);
  fallbackTests(redis.port);
  workerTests();
  metricsTests();
  rsocketsPeerTests();
}

void (async () => {
  t.setTimeout(300_000);
  const reason = await whyNot();
  if (reason === undefined) await allTests();
  else if (process.env.CI) t.fail(`the examples must run in CI: ${reason}`);
  else t.pass('examples', { skip: reason });
})();
