/**
 * Tries the package as a new user would: the tarball of `npm pack` with the prebuilt binaries that
 * `npm run prebuilds` made, in an empty project, on each version of Node; then without them, built
 * from its sources.
 *
 *     npm run try-package [-- --nodes 20,22,24,26] [--no-build]
 */

import { copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { LabUnavailable, type Execution } from '../lab/execute';
import { nodeOf } from '../consumers/setup';
import { root } from '../rdma/program';
import { MAJORS } from './nodes';
import { echoOf, Project } from './project';
import { makeTarball } from './tarball';
import { prebuildFile, prebuildPath, targets } from './targets';

const folder = path.join(root, 'build', 'try-package');

const report = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

/** Says what a step gave, and stops the tour if it is not what it should be. */
function say(step: string, good: boolean, { status, stdout, stderr }: Execution): void {
  if (!good || stdout === '') throw new Error(`${step} (status ${status}):\n${stdout}${stderr}`);
  console.log(`  ${step}\n${stdout.trim().replace(/^/gm, '    ')}`);
}

async function install(project: Project, tarball: string): Promise<Execution> {
  const installed = await project.install(tarball);
  const echo = path.join(root, 'test', 'package', 'programs', 'echo.js');
  copyFileSync(echo, path.join(project.folder, 'echo.js'));
  return installed;
}

/** What a user does after the installation, with one variable that all of it gets. */
async function use(project: Project, environment: Record<string, string> = {}): Promise<void> {
  const doctor = await project.run(['npx', 'rdma-net', 'doctor'], environment);
  // Without an RDMA device it is 1; what the doctor says is tested elsewhere.
  say('npx rdma-net doctor', doctor.status <= 1, doctor);
  const explain = await project.run(['npx', 'rdma-net', 'explain', '127.0.0.1:9'], environment);
  say('npx rdma-net explain 127.0.0.1:9', explain.status <= 1, explain);
  for (const command of [
    ['npx', 'rdma-net', 'run', 'echo.js'],
    ['node', '--require', 'rdma-net/preload', 'echo.js'],
    ['node', '--import', 'rdma-net/preload', 'echo.js'],
  ]) {
    const result = await project.run(command, environment);
    const { transport, whole } = echoOf(result);
    say(command.join(' '), whole && transport === 'local', result);
  }
  const example = 'node_modules/rdma-net/examples/worker-threads.js';
  const run = await project.run(['npx', 'rdma-net', 'run', example], environment);
  say(`npx rdma-net run ${example}`, run.status === 0 && run.stdout.includes('local'), run);
}

/** Removes it again; the program does not notice. */
async function remove(project: Project): Promise<void> {
  const removed = await project.run(['npm', 'uninstall', '--no-audit', '--no-fund', 'rdma-net']);
  const isThere = existsSync(path.join(project.folder, 'node_modules', 'rdma-net'));
  say('npm uninstall rdma-net', removed.status === 0 && !isThere, removed);
  const result = await project.run(['node', 'echo.js']);
  const { transport, whole } = echoOf(result);
  say('node echo.js', whole && transport === undefined, result);
}

/** The binaries that have been made; that of this machine must be there. */
function madePrebuilds(): Record<string, string> {
  const made = targets.filter((target) => existsSync(prebuildFile(target)));
  if (!made.some(({ arch, libc }) => arch === process.arch && libc === 'glibc')) {
    throw new LabUnavailable('there is no prebuilt binary for this machine: npm run prebuilds');
  }
  return Object.fromEntries(made.map((target) => [prebuildPath(target), prebuildFile(target)]));
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      nodes: { type: 'string', default: MAJORS.join(',') },
      'no-build': { type: 'boolean', default: false },
    },
  });
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const tarball = await makeTarball(path.join(folder, 'tarball'), madePrebuilds());
  for (const major of values.nodes.split(',').map(Number)) {
    console.log(`Node ${major}, without a compiler`);
    const node = await nodeOf(major, report);
    const place = path.join(folder, `node-${major}`);
    const project = await Project.create(place, { node, compiler: false });
    const installed = await install(project, tarball);
    const built = `${installed.stdout}${installed.stderr}`.includes('gyp');
    say('npm install', installed.status === 0 && !built, installed);
    // A binary of another origin would not be taken.
    await use(project, { PREBUILDS_ONLY: '1' });
    await remove(project);
  }
  if (values['no-build']) return;

  console.log(`Node ${process.versions.node}, with a compiler and without prebuilt binaries`);
  const sources = await makeTarball(path.join(folder, 'sources'), {});
  const options = { node: process.execPath, compiler: true };
  const project = await Project.create(path.join(folder, 'built'), options);
  const installed = await install(project, sources);
  const binary = path.join(project.folder, 'node_modules/rdma-net/build/Release/rdma_net.node');
  say('npm install', installed.status === 0 && existsSync(binary), installed);
  await use(project);
  await remove(project);
}

main().catch((error: unknown) => {
  report(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
});
