import t from 'tap';
import { killLeftovers } from './program';

/** Runs the groups of tests that the command line names, or all. */
export function runGroups(groups: Readonly<Record<string, () => void>>): void {
  t.setTimeout(0);
  t.afterEach(killLeftovers);
  const wanted = process.argv.slice(2);
  const unknown = wanted.filter((name) => !Object.hasOwn(groups, name));
  if (unknown.length > 0) {
    throw new Error(`no group ${unknown.join(', ')}; there are ${Object.keys(groups).join(', ')}`);
  }
  for (const [name, tests] of Object.entries(groups)) {
    if (wanted.length === 0 || wanted.includes(name)) tests();
  }
}
