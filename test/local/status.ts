/** `rdma-net status` beside programs of this machine: many sockets, killed ones, other users. */
import { existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import t, { type Test } from 'tap';
import { folderInTmp } from '../../lib/monitor/folder';
import type { Place } from '../rdma/place';
import { Child, Program, root, run } from '../rdma/program';
import { askAbout, statusOf, statusTests } from '../rdma/status';

const CONNECTIONS = 2000;
/** Of nobody, by convention. */
const OTHER_USER = 65_534;
const cli = path.join(root, 'dist', 'lib', 'cli.js');

/** Whatever the session of the tests has, their programs are where all programs of this user are. */
const env = { XDG_RUNTIME_DIR: '' };
const folder = folderInTmp(process.geteuid?.() ?? -1);

function endpointsOf(pid: number): string[] {
  const all = existsSync(folder) ? readdirSync(folder) : [];
  return all.filter((name) => name.startsWith(`${pid}-`)).map((name) => path.join(folder, name));
}

async function startTalker(place: Place): Promise<Program> {
  const program = new Program('talker', { args: [place.address, '1000'], env });
  await program.says('talking');
  return program;
}

/** Nothing is there, neither in the folder nor for the command. */
async function checkGone(t: Test, pid: number, why: string): Promise<void> {
  const { code, output } = await run(process.execPath, [cli, 'status', String(pid)]);
  t.equal(code, 1);
  t.match(output, `process ${pid} cannot be asked. ${why}`);
  t.strictSame(endpointsOf(pid), []);
}

export function localStatusTests(place: Place): void {
  const { address, transport } = place;
  statusTests(place);

  void t.test(`${CONNECTIONS} connections are all told of, or as many as are wanted`, async (t) => {
    const args = ['server', address];
    const server = new Program('crowd', { args, flags: ['--expose-gc'], env });
    const { port } = await server.says('listening');
    const client = new Program('crowd', { args: ['client'], flags: ['--expose-gc'], env });
    client.tell(`open ${address} ${port as number} ${CONNECTIONS}`);
    await client.says('opened');
    const { environments } = await askAbout(t, client.pid);
    const locals = environments[0]?.connections?.map(({ local }) => local?.port);
    t.equal(new Set(locals).size, CONNECTIONS);
    const few = await askAbout(t, server.pid, '--top', '5', '--sort', 'age');
    const ages = few.environments[0]?.connections?.map(({ ageSeconds }) => ageSeconds ?? 0) ?? [];
    t.equal(ages.length, 5);
    t.strictSame(
      ages,
      [...ages].sort((a, b) => b - a),
      'the oldest first',
    );
    t.equal(few.totals.connections[transport], CONNECTIONS, 'the totals are of all');
    const text = await statusOf(t, String(server.pid), '--top', '3');
    t.match(text, `and ${CONNECTIONS - 3} more`);
    const rates = await statusOf(t, String(server.pid), '--watch', '0.1', '--count', '2');
    t.equal(rates.split('IN/s').length, 3, 'watching shows rates, each time');
    const watched = await statusOf(t, '--watch', '0.1', '--count', '2', '--json');
    const looks = watched
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { programs: object[] });
    t.equal(looks.length, 2);
    for (const { programs } of looks) {
      t.ok(programs.length >= 2);
      t.notMatch(
        JSON.stringify(programs),
        '"connections":[',
        'without a PID there are totals only',
      );
    }
    client.tell('close');
    server.tell('close');
    for (const program of [client, server]) t.match(await program.end(), { code: 0, stderr: '' });
  });

  void t.test('a program that ends by itself, or by process.exit(), leaves nothing', async (t) => {
    for (const how of ['end', 'exit']) {
      const program = await startTalker(place);
      t.equal(endpointsOf(program.pid).length, 1);
      if (how === 'exit') program.tell('exit');
      t.match(await program.end(), { code: 0, stderr: '' });
      t.strictSame(endpointsOf(program.pid), [], how);
    }
  });

  void t.test('what a killed program has left is removed by the next who asks', async (t) => {
    const program = await startTalker(place);
    program.kill('SIGKILL');
    t.equal(await program.ended(), 'SIGKILL');
    t.equal(endpointsOf(program.pid).length, 1);
    await checkGone(t, program.pid, 'There is no such process.');
  });

  void t.test('a program that was stopped is told of, and goes on', async (t) => {
    const program = await startTalker(place);
    program.kill('SIGSTOP');
    const { code, output } = await run(process.execPath, [cli, 'status', String(program.pid)]);
    t.equal(code, 1);
    t.match(output, `${program.pid}  (does not answer)`);
    program.kill('SIGCONT');
    t.match(await askAbout(t, program.pid), { answers: true });
    t.match(await program.end(), { code: 0, stderr: '' });
  });

  void t.test('root sees into containers, and calls their programs as it sees them', async (t) => {
    const apart = ['unshare', '--mount', '--pid', '--fork', '--mount-proc'];
    const { code, output } = await run('env', [...apart, 'true']);
    if (code !== 0) return t.pass('containers', { skip: output });
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    // As the first process, and with a folder of its own in the place of that of this user.
    const mount = `mount -t tmpfs -o mode=700 none ${folder} && exec "$@"`;
    const wrapper = [...apart, 'sh', '-c', mount, 'sh'];
    const program = new Program('talker', { args: [address, '1000'], env, wrapper });
    const { port } = await program.says('talking');
    const children = `/proc/${program.pid}/task/${program.pid}/children`;
    const pid = Number(readFileSync(children, 'latin1'));
    const status = await askAbout(t, pid);
    t.equal(status.pid, pid);
    t.equal(status.environments[0]?.servers?.[0]?.port, port);
    t.match(await program.end(), { code: 0, stderr: '' });
  });

  void t.test('RDMA_NET_STATUS=off: a program has no endpoint', async (t) => {
    const off = { ...env, RDMA_NET_STATUS: 'off' };
    const program = new Program('talker', { args: [address, '1000'], env: off });
    await program.says('talking');
    await checkGone(t, program.pid, 'It was started with RDMA_NET_STATUS=off.');
    t.match(await program.end(), { code: 0, stderr: '' });
  });

  const skip = process.geteuid?.() === 0 ? false : 'only root runs programs as another user';
  void t.test('another user cannot ask, nor see who could be asked', { skip }, async (t) => {
    const program = await startTalker(place);
    const [file = ''] = endpointsOf(program.pid);
    const script = `
      const [file, folder] = process.argv.slice(1);
      process.setgroups([]); process.setgid(${OTHER_USER}); process.setuid(${OTHER_USER});
      const say = (what) => console.log(JSON.stringify({ event: 'refused', ...what }));
      let list;
      try { require('fs').readdirSync(folder); } catch ({ code }) { list = code; }
      require('net').connect(file, () => say({ connect: 'connected' }))
        .on('error', ({ code }) => say({ connect: code, list }));
      process.stdin.resume();`;
    const command = ['env', '--unset=NODE_OPTIONS', process.execPath, '-e', script, file, folder];
    const stranger = new Child(command);
    t.match(await stranger.says('refused'), { connect: 'EACCES', list: 'EACCES' });
    for (const each of [stranger, program]) t.match(await each.end(), { code: 0, stderr: '' });
  });

  void t.test('who asks and does not read is cut off, and harms nobody', async (t) => {
    const program = await startTalker(place);
    const [file = ''] = endpointsOf(program.pid);
    const greedy = net.connect(file);
    greedy.pause();
    const cut = new Promise<boolean>((resolve) => greedy.on('error', () => resolve(true)));
    const question = '{"sockets":true}\n\n'.repeat(100);
    const asked = (): Promise<boolean> =>
      new Promise((resolve) => greedy.write(question, () => resolve(false)));
    while (!(await Promise.race([cut, asked()])));
    t.match(await askAbout(t, program.pid), { answers: true });
    t.match(await program.end(), { code: 0, stderr: '' });
  });
}
