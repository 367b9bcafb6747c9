/** An empty project of a new user, on a machine with a compiler or without. */

import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { execute, executeOrFail, type Execution } from '../lab/execute';
import { cleanEnvironment } from './environment';

/** What npm needs of a system, beside Node: a shell for the scripts of packages. */
const PROGRAMS = ['npm', 'npx', 'sh'];

export interface ProjectOptions {
  /** The program `node` that everything runs on. */
  readonly node: string;
  /** Whether programs of the system, such as a compiler, are found. */
  readonly compiler: boolean;
}

/** What programs/echo.js prints. */
export interface Echo {
  readonly transport?: string;
  readonly whole: boolean;
  readonly node: string;
  readonly arch: string;
}

export class Project {
  readonly folder: string;
  readonly #environment: Record<string, string>;

  private constructor(folder: string, environment: Record<string, string>) {
    this.folder = folder;
    this.#environment = environment;
  }

  /** Makes the folder anew. */
  static async create(folder: string, { node, compiler }: ProjectOptions): Promise<Project> {
    rmSync(folder, { recursive: true, force: true });
    // Beside the project, so that nothing in it is found from there.
    const programs = `${folder}-programs`;
    rmSync(programs, { recursive: true, force: true });
    mkdirSync(programs, { recursive: true });
    mkdirSync(folder);
    writeFileSync(path.join(folder, 'package.json'), '{ "name": "app", "private": true }\n');
    const environment = cleanEnvironment();
    symlinkSync(node, path.join(programs, 'node'));
    for (const program of PROGRAMS) {
      const found = await executeOrFail('sh', ['-c', `command -v ${program}`], {
        env: environment,
      });
      symlinkSync(found.trim(), path.join(programs, program));
    }
    environment['PATH'] = compiler ? `${programs}:${environment['PATH'] ?? ''}` : programs;
    return new Project(folder, environment);
  }

  /**
   * Runs a program of the project. By `env`, because the test runner puts itself into the environment
   * of whatever is spawned.
   */
  run(
    command: readonly string[],
    environment: Readonly<Record<string, string>> = {},
  ): Promise<Execution> {
    const all = Object.entries({ ...this.#environment, ...environment });
    const assignments = all.map(([name, value]) => `${name}=${value}`);
    return execute('/usr/bin/env', ['-i', ...assignments, ...command], { cwd: this.folder });
  }

  /** Runs a program of this machine, in the project. */
  runOnSystem(
    command: readonly string[],
    environment: Readonly<Record<string, string>>,
  ): Promise<Execution> {
    return this.run(command, { PATH: process.env['PATH'] ?? '', ...environment });
  }

  /** Installs a tarball and what it depends on. */
  install(tarball: string, environment: Readonly<Record<string, string>> = {}): Promise<Execution> {
    const quiet = ['--no-audit', '--no-fund', '--foreground-scripts', '--prefer-offline'];
    return this.run(['npm', 'install', ...quiet, tarball], environment);
  }
}

/**
 * What the program echo.js said.
 *
 * @throws Error with all of its output if it failed.
 */
export function echoOf({ status, stdout, stderr }: Execution): Echo {
  if (status !== 0) throw new Error(`the program failed (status ${status}): ${stdout}${stderr}`);
  return JSON.parse(stdout) as Echo;
}
