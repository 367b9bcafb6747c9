/**
 * Makes the prebuilt binaries of a release, looks at what they ask of a system, and runs them.
 *
 *     npm run prebuilds                          all of them
 *     npm run prebuilds -- linux-x64-musl        one
 *     npm run prebuilds -- --no-build            only tries those that are there
 */

import { copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { LabUnavailable } from '../lab/execute';
import { root } from '../rdma/program';
import { buildPrebuild } from './build';
import { loadOnMusl } from './load-on-musl';
import { runnersOf } from './nodes';
import { echoOf, Project } from './project';
import { newestGlibc, problemsOf, requirementsOf } from './requirements';
import { nameOf, prebuildFile, prebuildPath, targets, type Target } from './targets';
import { makeTarball } from './tarball';

const report = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

/** A project with the package, and its prebuilt binaries alone. */
async function makeProject(wanted: readonly Target[]): Promise<Project> {
  const folder = path.join(root, 'build', 'prebuilds', 'try');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const prebuilds = wanted.map((target) => [prebuildPath(target), prebuildFile(target)]);
  const tarball = await makeTarball(
    folder,
    Object.fromEntries(prebuilds) as Record<string, string>,
  );
  const project = await Project.create(path.join(folder, 'app'), {
    node: process.execPath,
    compiler: false,
  });
  const { status, stderr } = await project.install(tarball, { npm_config_ignore_scripts: 'true' });
  if (status !== 0) throw new Error(`npm install failed: ${stderr}`);
  const echo = path.join(root, 'test', 'package', 'programs', 'echo.js');
  copyFileSync(echo, path.join(project.folder, 'echo.js'));
  return project;
}

/** Runs the echo with a target's binary, on all that can; returns what went wrong. */
async function tryTarget(target: Target, project: Project): Promise<string[]> {
  const problems: string[] = [];
  for (const runner of await runnersOf(target, report)) {
    const command = runner.command(project.folder, 'echo.js');
    const result = await project.runOnSystem(command, { PREBUILDS_ONLY: '1' });
    let outcome: string;
    try {
      const echo = echoOf(result);
      const good = echo.whole && echo.transport === 'local' && echo.arch === target.arch;
      outcome = good ? 'an echo over local' : `FAILED: ${JSON.stringify(echo)}`;
    } catch (error) {
      outcome = `FAILED: ${String(error)}`;
    }
    console.log(`${nameOf(target)}: ${runner.name}: ${outcome}`);
    if (outcome.startsWith('FAILED'))
      problems.push(`${nameOf(target)} on ${runner.name}: ${outcome}`);
  }
  return problems;
}

async function check(target: Target, project: Project): Promise<string[]> {
  const file = prebuildFile(target);
  const requirements = await requirementsOf(file);
  const glibc = newestGlibc(requirements);
  const { libraries } = requirements;
  const asks = glibc === undefined ? libraries : [`glibc ${glibc}`, ...libraries];
  console.log(`${nameOf(target)}: asks for ${asks.join(', ')}`);
  const problems = [...problemsOf(requirements, target), ...(await tryTarget(target, project))];
  if (target.arch === 'arm64' && target.libc === 'musl') {
    // There is no Node for it to be had; its dynamic linker and its libc there are.
    const problem = await loadOnMusl(file, report);
    console.log(`${nameOf(target)}: loaded without Node: ${problem ?? 'all symbols are found'}`);
    if (problem !== undefined) problems.push(`${nameOf(target)}: ${problem}`);
  }
  return problems;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { 'no-build': { type: 'boolean', default: false } },
  });
  for (const name of positionals) {
    if (targets.some((target) => nameOf(target) === name)) continue;
    const names = targets.map(nameOf).join(', ');
    throw new LabUnavailable(`there is no target ${name}; there are ${names}`);
  }
  const wanted = targets.filter(
    (target) => positionals.length === 0 || positionals.includes(nameOf(target)),
  );
  for (const target of wanted) {
    if (!values['no-build']) await buildPrebuild(target, report);
    else if (!existsSync(prebuildFile(target))) {
      throw new LabUnavailable(`${prebuildPath(target)} has not been made`);
    }
  }
  const project = await makeProject(wanted);
  const problems: string[] = [];
  for (const target of wanted) problems.push(...(await check(target, project)));
  for (const problem of problems) report(problem);
  process.exitCode = problems.length === 0 ? 0 : 1;
}

main().catch((error: unknown) => {
  report(error instanceof LabUnavailable ? error.message : String(error));
  process.exitCode = 1;
});
