/** `rdma-net bench`, between programs of this host. */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import t from 'tap';
import { jsonMembers } from '../docs/json-members';
import { closedPort, libFolder, nodeCommand, runNode } from './support';

const cli = path.join(libFolder, 'cli.js');
const SHORT = ['--seconds', '0.2', '--rounds', '2'];

interface Line {
  event: string;
  port: number;
  transport: string;
  transports: string[];
  failure?: string;
}

/** The other side, and what it says. */
class Listening {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor() {
    const args = [cli, 'bench', '--listen', '0', '--host', '127.0.0.1', '--until-eof', '--json'];
    const child = spawn(...nodeCommand(args));
    child.stderr.pipe(process.stderr);
    this.#child = child;
    this.#lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  }

  async says(): Promise<Line> {
    const line = await this.#lines.next();
    return JSON.parse(String(line.value)) as Line;
  }

  async end(): Promise<number | null> {
    this.#child.stdin?.end();
    if (this.#child.exitCode === null) await once(this.#child, 'exit');
    return this.#child.exitCode;
  }
}

t.test('without a host it measures tcp and local with a program of its own', async (t) => {
  const { code, stdout, stderr } = await runNode([cli, 'bench', '--json', ...SHORT]);
  t.equal(code, 0);
  const result = JSON.parse(stdout) as { measurements: Record<string, unknown>[] };
  t.same(Object.keys(result), ['format', 'version', 'command', ...jsonMembers('bench')]);
  for (const workload of ['64 B round trip', '64 KiB writes', '1 MiB writes']) {
    for (const transport of ['tcp', 'local']) {
      const found = result.measurements.find(
        (one) => one['workload'] === workload && one['transport'] === transport,
      );
      t.match(found, { median: Number, least: Number, most: Number, rounds: [Number, Number] });
      t.ok(Number(found?.['median']) > 0, `${workload} over ${transport}`);
      t.equal(typeof found?.['p99'], workload === '64 B round trip' ? 'number' : 'object');
    }
  }
  t.match(stderr, /^round 2 of 2: 1 MiB writes over local: \d+ MiB\/s$/m, 'progress in lines');
});

t.test('with a host it measures what was asked for, and says what cannot be had', async (t) => {
  const listening = new Listening();
  const { port, transports } = await listening.says();
  t.same(transports, ['local', 'tcp']);
  const place = `127.0.0.1:${port}`;
  const local = await runNode([cli, 'bench', '--transports', 'local', ...SHORT, place]);
  t.match(local, { code: 0, stdout: /^127\.0\.0\.1:\d+, median .*\n\n64 B round trip +local +\d/ });
  t.notMatch(local.stdout, /tcp|rdma/);
  const served = await listening.says();
  t.match(served, { format: 1, command: 'bench', event: 'served', transport: 'local' });
  const rdma = await runNode([cli, 'bench', '--transports', 'rdma', '--json', place]);
  t.equal(rdma.code, 1);
  t.match(JSON.parse(rdma.stdout), {
    measurements: [],
    unavailable: [{ transport: 'rdma', code: String, text: /RDMA/ }],
  });
  t.equal(await listening.end(), 0);
});

t.test('when nobody listens it says what has to run there', async (t) => {
  const result = await runNode([cli, 'bench', `127.0.0.1:${await closedPort()}`]);
  t.match(result, { code: 1, stdout: '', stderr: /ECONNREFUSED[^]*Is `rdma-net bench --listen`/ });
});

/** What a stranger gets who says this. */
async function tell(port: number, ...parts: Buffer[]): Promise<Buffer> {
  const socket = net.connect(port, '127.0.0.1');
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.on('error', () => undefined);
  const [first = Buffer.alloc(0), ...rest] = parts;
  socket.write(first);
  if (rest.length > 0) {
    await once(socket, 'data');
    for (const part of rest) socket.write(part);
  }
  if (!socket.closed) await once(socket, 'close');
  return Buffer.concat(chunks);
}

function greeting(...words: number[]): Buffer {
  const buffer = Buffer.alloc(16);
  words.forEach((word, index) => buffer.writeUInt32LE(word, index * 4));
  return buffer;
}

t.test('strangers are cut off, and the next client is served', async (t) => {
  const listening = new Listening();
  const { port } = await listening.says();
  const magic = 0x524e_4200;
  const foreign = /asked for no transfer/;
  for (const [what, parts, failure] of [
    ['no greeting', [Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n')], foreign],
    ['too large a message', [greeting(2 ** 20 + 1, 1, 1, magic)], foreign],
    ['too many of them', [greeting(2 ** 20, 2 ** 20, 2, magic)], foreign],
    ['none', [greeting(0, 1, 1, magic)], foreign],
    ['another protocol', [greeting(64, 1, 1, magic + 2)], foreign],
    ['other bytes', [greeting(64, 1, 1, magic), Buffer.alloc(64, 1)], /other bytes arrived/],
    ['more bytes', [greeting(1, 1, 1, magic), Buffer.alloc(2)], /1 bytes more than/],
  ] as const) {
    const got = await tell(port, ...parts);
    t.equal(got.length, failure === foreign ? 0 : 16, what);
    t.match(await listening.says(), { event: 'served', transport: 'tcp', failure });
  }
  const place = `127.0.0.1:${port}`;
  const result = await runNode([cli, 'bench', '--transports', 'tcp', ...SHORT, place]);
  t.equal(result.code, 0);
  t.equal(await listening.end(), 0);
});

t.test('bench tells what is wrong with its command line, with status 2', async (t) => {
  for (const [args, message] of [
    [['--seconds', '0'], '--seconds is "0"; expected a number from 0.1 to 600'],
    [['--rounds', 'few'], '--rounds is "few"; expected a number from 1 to 100'],
    [['--rounds', '1.5'], '--rounds is "1.5"; expected a whole number'],
    [['--transports', 'tcp,ipx'], '--transports has "ipx"; expected some of tcp,local,rdma'],
    [['--listen', 'http'], '"http" is no port'],
    [['--host', 'a'], '--host and --until-eof go with --listen'],
    [['a:b'], '"a:b" is no host and port'],
    [['--seconds'], "Option '--seconds <value>' argument missing"],
  ] as const) {
    const result = await runNode([cli, 'bench', ...args]);
    t.equal(result.code, 2);
    t.match(result.stderr, `rdma-net: ${message}`);
  }
});
