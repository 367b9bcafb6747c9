/**
 * The tarball, installed into an empty project on a machine without a compiler. That it can be built
 * there, and all versions of Node: `npm run try-package`.
 */

import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t from 'tap';
import { root } from '../rdma/program';
import { echoOf, Project } from './project';
import { makeTarball } from './tarball';
import { prebuildPath, targets } from './targets';

const patient = { timeout: 120_000 };
const built = path.join(root, 'build', 'Release', 'rdma_net.node');
const PRELOAD = ['--require', 'rdma-net/preload'];

const target = targets.find(({ arch, libc }) => arch === process.arch && libc === 'glibc');
const folder = mkdtempSync(path.join(tmpdir(), 'rdma-net-package-'));
t.setTimeout(patient.timeout * 4);
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

/** A project with the package and these binaries in it; with what npm said. */
async function installed(
  name: string,
  prebuilds: Record<string, string>,
): Promise<{ project: Project; output: string; status: number }> {
  const tarball = await makeTarball(path.join(folder, `${name}-tarball`), prebuilds);
  const options = { node: process.execPath, compiler: false };
  const project = await Project.create(path.join(folder, name), options);
  const { status, stdout, stderr } = await project.install(tarball);
  const program = path.join(root, 'test', 'package', 'programs', 'echo.js');
  copyFileSync(program, path.join(project.folder, 'echo.js'));
  return { project, output: `${stdout}${stderr}`, status };
}

const here = target === undefined ? { skip: `no binary is made for ${process.arch}` } : patient;

void t.test('without a compiler the prebuilt binary is taken', here, async (t) => {
  if (target === undefined) return;
  const { project, output, status } = await installed('with', { [prebuildPath(target)]: built });
  t.equal(status, 0, 'npm installs it', { output });
  t.notMatch(output, /could not be built/);

  const only = { PREBUILDS_ONLY: '1' };
  const preloaded = echoOf(await project.run(['node', ...PRELOAD, 'echo.js'], only));
  t.match(preloaded, { transport: 'local', whole: true }, 'with one preload');
  const imported = await project.run(['node', '--import', 'rdma-net/preload', 'echo.js'], only);
  t.match(echoOf(imported), { transport: 'local', whole: true }, 'imported');
  const inherited = { ...only, NODE_OPTIONS: PRELOAD.join(' ') };
  t.match(echoOf(await project.run(['node', 'echo.js'], inherited)), { transport: 'local' });

  const run = echoOf(await project.run(['npx', 'rdma-net', 'run', 'echo.js'], only));
  t.match(run, { transport: 'local', whole: true }, 'by the command');
  const doctor = await project.run(['npx', 'rdma-net', 'doctor'], only);
  t.notMatch(doctor.stdout, /addon-missing/, 'the doctor finds the addon');
  t.match(doctor.stdout, /shared memory/i, 'the doctor looks at it', { stderr: doctor.stderr });
});

void t.test(
  'without a compiler and a binary it is plain net, with the reason',
  patient,
  async (t) => {
    const { project, output, status } = await installed('without', {});
    t.equal(status, 0, 'npm installs it all the same', { output });
    t.match(output, 'rdma-net: the native addon could not be built');
    t.match(output, 'the package works as plain net. It needs a C++20 compiler, make and python3.');

    const debug = { NODE_DEBUG: 'rdma-net' };
    const result = await project.run(['node', ...PRELOAD, 'echo.js'], debug);
    t.match(echoOf(result), { transport: 'tcp', whole: true });
    t.match(result.stderr, 'addon-missing');
    const doctor = await project.run(['npx', 'rdma-net', 'doctor']);
    t.not(doctor.status, 0, 'the doctor finds that something is missing');
    t.match(doctor.stdout, /addon/, 'and what it is', { stderr: doctor.stderr });
  },
);
