/** What the package does where there is no RDMA and no addon: nothing, and it says why. */

import { chmodSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { libFolder, runNode, type ChildResult } from './support';

const root = path.join(libFolder, '..', '..');
const cli = path.join(libFolder, 'cli.js');
const install = path.join(root, 'binding', 'install.js');
const fixture = path.join(root, 'test', 'unit', 'fixtures', 'platform.js');

/** Runs Node as if on another system: as far as a program can tell. */
function runOn(
  platform: string,
  args: readonly string[],
  environment: Record<string, string> = {},
): Promise<ChildResult> {
  const inherited = { NODE_OPTIONS: `-r "${fixture}"`, PLATFORM: platform };
  return runNode(args, { ...environment, ...inherited });
}

/** Talks over plain net; prints what was found of the package. */
const talk = `
  const net = require('node:net');
  const { TCP } = process.binding('tcp_wrap');
  const server = net.createServer((socket) => socket.pipe(socket));
  server.listen(0, '127.0.0.1', () => {
    const client = net.connect(server.address().port, '127.0.0.1');
    let transport;
    client.on('connect', () => { transport = client.transport; });
    client.end('hello').on('data', (data) => console.log(String(data)));
    client.on('close', () => {
      const { info } = require('rdma-net');
      const { reason } = info(client);
      const native = String(TCP.prototype.connect).includes('native code');
      const loaded = process.report.getReport().sharedObjects.join();
      console.log(transport, reason?.code, reason?.detail);
      console.log(native ? 'untouched' : 'caught', loaded.includes('rdma_net') ? 'addon' : 'no addon');
      server.close();
    });
  });
`;

for (const platform of ['darwin', 'win32', 'freebsd']) {
  const plain = `hello\ntcp platform ${platform}\nuntouched no addon\n`;

  void t.test(`on ${platform} the preload leaves net as it is`, async (t) => {
    const result = await runOn(platform, ['-r', 'rdma-net/preload', '-e', talk]);
    t.strictSame(result, { code: 0, stdout: plain, stderr: '' });
  });

  void t.test(`on ${platform} the explicit import is plain net`, async (t) => {
    const script = talk.replace("require('node:net')", "require('rdma-net')");
    const result = await runOn(platform, ['-e', script]);
    t.strictSame(result, { code: 0, stdout: plain, stderr: '' });
  });

  void t.test(`on ${platform} \`rdma-net run\` runs the program`, async (t) => {
    const result = await runOn(platform, [cli, 'run', '-e', talk]);
    t.strictSame(result, { code: 0, stdout: plain, stderr: '' });
  });

  void t.test(`on ${platform} the doctor says that RDMA is for Linux`, async (t) => {
    const result = await runOn(platform, [cli, 'doctor']);
    t.equal(result.code, 1);
    t.match(result.stdout, 'RDMA is available on Linux only.');
    t.match(result.stdout, platform);
    t.equal(result.stderr, '');
  });

  void t.test(`on ${platform} who requires RDMA is warned once, and gets TCP`, async (t) => {
    const environment = { RDMA_NET: 'require' };
    const result = await runOn(platform, ['-r', 'rdma-net/preload', '-e', talk], environment);
    t.equal(result.stdout, plain);
    const warnings = result.stderr.match(/\[RDMA_NET_REQUIRED\] Warning: .* on Linux only/g);
    t.equal(warnings?.length, 1, result.stderr);
  });

  void t.test(`on ${platform} the installation builds nothing`, async (t) => {
    const result = await runOn(platform, [install]);
    t.equal(result.code, 0);
    t.match(result.stdout, 'on this system the package is plain net');
    t.equal(result.stderr, '');
  });
}

void t.test('on win32 `rdma-net run` takes of a command what Windows can run', async (t) => {
  // As npm is installed: a script for other systems beside that for Windows.
  const folder = t.testdir({ tool: '#!/bin/sh\n', 'tool.cmd': '', 'other.exe': 'MZ' });
  for (const name of ['tool', 'tool.cmd', 'other.exe']) chmodSync(path.join(folder, name), 0o755);
  const module = JSON.stringify(path.join(libFolder, 'commands', 'run.js'));
  const plan = async (command: string): Promise<unknown> => {
    const script = `console.log(JSON.stringify(require(${module}).planRun(['${command}', 'a b'])))`;
    const { stdout } = await runOn('win32', ['-e', script], { PATH: folder });
    return JSON.parse(stdout);
  };
  const script = { file: path.join(folder, 'tool.cmd'), args: ['a b'], inShell: true };
  t.match(await plan('tool'), script);
  t.match(await plan('tool.cmd'), script);
  const binary = { file: path.join(folder, 'other.exe'), args: ['a b'], inShell: false };
  t.match(await plan('other'), binary);
  t.match(await plan(path.join(folder, 'other.exe')), binary);
});
