/** Variables of the environment that look like settings, and are none. */

import { VARIABLES } from '../mode';

/** What programs take notice of, and the installation and the making of packages. */
const KNOWN: ReadonlySet<string> = new Set([...VARIABLES, 'RDMA_NET_INCLUDE', 'RDMA_NET_ZIG']);

/** Their names: nobody else tells of a letter that is missing. */
export function unknownVariables(environment: NodeJS.ProcessEnv): string[] {
  return Object.keys(environment)
    .filter((name) => name.startsWith('RDMA_NET') && !KNOWN.has(name))
    .sort();
}
