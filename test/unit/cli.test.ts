import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, readFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { withPreload } from '../../lib/commands/run';
import { jsonMembers } from '../docs/json-members';
import { libFolder, nodeCommand, runNode, type ChildResult } from './support';

const cli = path.join(libFolder, 'cli.js');

t.test('--help and --version say what they should', async (t) => {
  const help = await runNode([cli, '--help']);
  t.equal(help.code, 0);
  t.match(help.stdout, /Usage: rdma-net COMMAND/);
  const file = path.join(libFolder, '..', '..', 'package.json');
  const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version: string };
  const printed = await runNode([cli, '--version']);
  t.equal(printed.stdout, `${version}\n`);
});

t.test('a wrong command line is told, with status 2', async (t) => {
  for (const [args, message] of [
    [[], 'a command is missing'],
    [['fly'], 'there is no command "fly"'],
    [['run'], 'run needs a program'],
    [['--verison'], '--verison is no option; expected --help, --version, or a command'],
    [['doctor', '--jsno'], "Unknown option '--jsno'"],
    [['doctor', 'db:1'], 'doctor looks at this machine, and takes no "db:1"'],
  ] as const) {
    const result = await runNode([cli, ...args]);
    t.equal(result.code, 2);
    t.match(result.stderr, `rdma-net: ${message}`);
  }
});

t.test('run passes arguments, the preload and the exit status', async (t) => {
  const script = `
    const { prototype } = process.binding('tcp_wrap').TCP;
    console.log(String(prototype.connect).includes('native code'), process.argv.slice(1).join());
    process.exitCode = 7;`;
  const result = await runNode([cli, 'run', '-e', script, 'one', '--two']);
  t.equal(result.stdout, 'false one,--two\n');
  t.equal(result.code, 7);
});

t.test('run passes signals on, and ends by them', async (t) => {
  const script = `
    process.on('SIGTERM', () => { console.log('caught'); process.exit(3); });
    console.log('ready');
    setInterval(() => {}, 1000);`;
  const child = spawn(...nodeCommand([cli, 'run', '-e', script]));
  let output = '';
  child.stdout.on('data', (data) => {
    output += String(data);
    if (output === 'ready\n') child.kill('SIGTERM');
  });
  const [code] = (await once(child, 'close')) as [number];
  t.equal(code, 3);
  t.equal(output, 'ready\ncaught\n');

  const suicide = 'process.kill(process.pid, "SIGTERM")';
  const killed = spawn(...nodeCommand([cli, 'run', '-e', suicide]));
  const [, signal] = (await once(killed, 'close')) as [number, string];
  t.equal(signal, 'SIGTERM');
});

const noTerminal = process.platform !== 'linux' && 'script of util-linux makes its terminal';
t.test('Ctrl+C reaches a program under run once', { skip: noTerminal }, async (t) => {
  const script = `
    let count = 0;
    process.on('SIGINT', () => console.log('interrupted', ++count));
    process.on('SIGTERM', () => process.exit(10 + count));
    setInterval(() => {}, 1000);
    console.log('ready', process.ppid, '.');`;
  const file = path.join(t.testdir({ 'app.js': script }), 'app.js');
  const [program, args] = nodeCommand([cli, 'run', file], { NO_COLOR: '1' });
  // Without exec some shells stay between, and Ctrl+C ends them.
  const command = ['exec', program, ...args].map((word) => `'${word}'`).join(' ');
  // It makes a terminal; what is written to it is typed.
  const child = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
    env: { ...process.env, SHELL: '/bin/sh' },
  });
  let output = '';
  const steps: [RegExp, (pid: number) => void][] = [
    [/ready (\d+) \./, () => void child.stdin.write('\x03')],
    // Passed on after what was typed, if that is passed on.
    [/ready (\d+) \.[^]*interrupted 1/, (pid) => void process.kill(pid, 'SIGTERM')],
  ];
  child.stdout.on('data', (data) => {
    output += String(data);
    const [, pid] = steps[0]?.[0].exec(output) ?? [];
    if (pid !== undefined) steps.shift()?.[1](Number(pid));
  });
  const [code] = (await once(child, 'close')) as [number];
  t.equal(code, 11, output);
});

t.test('run takes a file for Node, and what is not one for a command on the PATH', async (t) => {
  const folder = t.testdir({
    'app.js': 'console.log("app", process.argv.slice(2).join(), process.env.RDMA_NET)',
    show: '#!/bin/sh\necho "show $1"; exec "$NODE" -p "$SCRIPT"',
    package: { 'index.js': 'console.log("package")' },
  });
  chmodSync(path.join(folder, 'show'), 0o755);
  const caught =
    'String(process.binding("tcp_wrap").TCP.prototype.connect).includes("native code")';
  const environment: Record<string, string> = {
    NODE: process.execPath,
    SCRIPT: caught,
    RDMA_NET_RULES: '* * local',
  };
  const runIn = (...args: string[]): Promise<ChildResult> =>
    runNode([cli, 'run', ...args], environment);
  const at = (name: string): string => path.join(folder, name);
  t.match(await runIn(at('app.js'), '--prefer'), { code: 0, stdout: 'app --prefer undefined\n' });
  t.match(await runIn(at('app'), 'x'), { code: 0, stdout: 'app x undefined\n' });
  t.match(await runIn(at('package')), { code: 0, stdout: 'package\n' });
  t.match(await runIn(at('show'), 'one'), { code: 0, stdout: 'show one\nfalse\n' });
  environment.PATH = `${folder}:/bin:/usr/bin`;
  t.match(await runIn('show', 'two'), { code: 0, stdout: 'show two\nfalse\n' });
  t.match(await runIn('--require', '--', 'show', '--prefer'), {
    code: 0,
    stdout: 'show --prefer\nfalse\n',
  });
  const missing = await runIn('nothing-like-this');
  t.match(missing, { code: 2, stderr: /"nothing-like-this" is neither a file here nor a command/ });
});

t.test('run --require and --prefer set the mode, and only before all else', async (t) => {
  const script = 'console.log(process.env.RDMA_NET, process.argv.slice(1).join())';
  const printed = async (...args: string[]): Promise<string> =>
    (await runNode([cli, 'run', ...args], { RDMA_NET: 'off' })).stdout;
  t.equal(await printed('-e', script), 'off \n');
  t.equal(await printed('--require', '-e', script), 'require \n');
  t.equal(await printed('--prefer', '-e', script, '--', '--require'), 'prefer --require\n');
  t.equal(await printed('--require=node:fs', '-e', script), 'off \n', 'an option of Node');
  const both = await runNode([cli, 'run', '--require', '--prefer', '-e', script]);
  t.match(both, { code: 2, stderr: /--require and --prefer exclude each other/ });
});

t.test('run --rules checks the file first, and passes its whole path', async (t) => {
  const folder = t.testdir({ good: 'connect localhost tcp\n', bad: '\n* * rmda\n' });
  const good = path.relative(path.join(libFolder, '..', '..'), path.join(folder, 'good'));
  const script = 'console.log(process.env.RDMA_NET_CONFIG)';
  t.match(await runNode([cli, 'run', '--rules', good, '-e', script]), {
    code: 0,
    stdout: `${path.join(folder, 'good')}\n`,
  });
  const bad = path.join(folder, 'bad');
  t.match(await runNode([cli, 'run', `--rules=${bad}`, '-e', script]), {
    code: 2,
    stdout: '',
    stderr: `rdma-net: ${bad}, line 2, column 5: found "rmda"; expected`,
  });
  t.match(await runNode([cli, 'run', '--rules', `${bad}.not`, '-e', script]), {
    code: 2,
    stderr: /--rules is ".*bad\.not"; expected the name of a file with rules \(ENOENT/,
  });
  t.match(await runNode([cli, 'run', '--rules']), { code: 2, stderr: /--rules needs the name/ });
});

t.test('NODE_OPTIONS keeps what it holds, and takes any path', (t) => {
  t.equal(withPreload(undefined, '/a/b.js'), '--require "/a/b.js"');
  t.equal(withPreload('--require "/a/b.js"', '/a/b.js'), '--require "/a/b.js"', 'only once');
  t.equal(
    withPreload('--trace-warnings', '/a b/"c".js'),
    '--trace-warnings --require "/a b/\\"c\\".js"',
  );
  t.end();
});

t.test('doctor ends with the verdict, and its status tells it', async (t) => {
  const result = await runNode([cli, 'doctor']);
  const usable = result.code === 0;
  t.match(result.stdout, usable ? / use RDMA to peers that can/ : / use TCP/);
  const off = await runNode([cli, 'doctor'], { RDMA_NET: 'off' });
  t.equal(off.code, 1);
  t.match(off.stdout, /^FAIL +mode +RDMA is switched off\.[^]*Fix: unset RDMA_NET/m);
  const misspelt = await runNode([cli, 'doctor', '--problems'], { RDMA_NET_TRANSPORT: 'local' });
  t.match(misspelt.stdout, /^warn +variable +RDMA_NET_TRANSPORT is set, and means nothing/m);
  const wrong = await runNode([cli, 'doctor'], { RDMA_NET: 'on' });
  t.equal(wrong.code, 2);
  t.match(wrong.stderr, /^rdma-net: RDMA_NET is "on"; expected "prefer", "require" or "off"\n$/);
});

t.test('doctor --json has checks, facts and the verdict of the status', async (t) => {
  const { code, stdout } = await runNode([cli, 'doctor', '--json'], {
    RDMA_NET_TRANSPORTS: 'local',
  });
  t.equal(code, 0);
  t.match(JSON.parse(stdout), {
    format: 1,
    version: /^\d/,
    checks: [{ id: 'system', state: 'ok', text: /^Linux/ }],
    facts: {
      program: { transports: ['local'], rdmaWanted: false },
      local: { roundTripMs: Number },
    },
    verdict: { usable: true, local: true, rdma: false, problems: 0 },
  });
});

t.test('what --json prints has one head, and the members that the page tells', async (t) => {
  const results: [command: string, page: string[], printed: Record<string, unknown>][] = [];
  for (const [command = '', ...args] of [
    ['doctor'],
    ['explain', '--no-connect', '127.0.0.1:1'],
    ['status'],
  ]) {
    const { stdout } = await runNode([cli, command, '--json', ...args]);
    results.push([command, jsonMembers(command), JSON.parse(stdout) as Record<string, unknown>]);
  }
  const { version } = JSON.parse(
    readFileSync(path.join(libFolder, '..', '..', 'package.json'), 'utf8'),
  ) as { version: string };
  for (const [command, members, printed] of results) {
    t.match(printed, { format: 1, version, command });
    t.strictSame(Object.keys(printed), ['format', 'version', 'command', ...members]);
  }
});

t.test('--help is taken after other words, too, but by run', async (t) => {
  const help = await runNode([cli, 'explain', 'db.internal', '--help']);
  t.match(help, { code: 0, stdout: /^Usage: rdma-net explain /, stderr: '' });
  const script = 'console.log(process.argv[1])';
  t.match(await runNode([cli, 'run', '-e', script, '--', '--help']), { stdout: '--help\n' });
});

t.test('run tells of a mistake in the environment, and starts nothing', async (t) => {
  const script = 'console.log("started")';
  const wrong = await runNode([cli, 'run', '-e', script], { RDMA_NET_HEAD_START_MS: 'soon' });
  t.match(wrong, { code: 2, stdout: '', stderr: /^rdma-net: RDMA_NET_HEAD_START_MS is "soon"; / });
  const replaced = await runNode([cli, 'run', '--prefer', '-e', script], { RDMA_NET: 'on' });
  t.match(replaced, { code: 0, stdout: 'started\n' });
});

t.test('colours are for terminals, and for those who force them as with Node', async (t) => {
  const isColoured = async (environment: Record<string, string>): Promise<boolean> =>
    (await runNode([cli, 'explain', '--no-connect', '127.0.0.1:1'], environment)).stdout.includes(
      '\u001b[',
    );
  t.equal(await isColoured({}), false);
  t.equal(await isColoured({ FORCE_COLOR: '1' }), true);
  t.equal(await isColoured({ FORCE_COLOR: 'false' }), false);
});

t.test("doctor tells that Node's permission model is in the way, and does not fail", async (t) => {
  const flags = process.allowedNodeEnvironmentFlags;
  const name = flags.has('--permission') ? '--permission' : '--experimental-permission';
  const { code, stdout } = await runNode([name, '--allow-fs-read=*', cli, 'doctor']);
  t.equal(code, 1);
  t.match(stdout, /^FAIL +permission-model [^]*Fix: start node without --permission/m);
});
