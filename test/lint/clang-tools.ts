import { execute } from '../lab/execute';
import { ensurePackages } from '../lab/packages';

/** Other versions format differently and find other things. */
const version = 14;

export type ToolName = 'clang-format' | 'clang-tidy';

/**
 * Finds a clang tool of the right version; installs its Debian package when there is none.
 *
 * @param report - told, one line each, what takes long.
 * @returns the command to run it by.
 * @throws LabUnavailable with the reason and the remedy.
 */
export async function clangTool(name: ToolName, report: (line: string) => void): Promise<string> {
  const found = await find(name);
  if (found !== undefined) return found;
  await ensurePackages([`${name}-${version}`], report);
  return `${name}-${version}`;
}

async function find(name: ToolName): Promise<string | undefined> {
  for (const command of [`${name}-${version}`, name]) {
    const { status, stdout } = await execute(command, ['--version']);
    if (status === 0 && stdout.includes(`version ${version}.`)) return command;
  }
  return undefined;
}
