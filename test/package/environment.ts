/** The environment of somebody who installs packages and runs programs, and no test. */

const OF_TESTS = /^(npm_|INIT_CWD$|TAP|_TAPJS|NODE_OPTIONS$|RDMA_NET|PREBUILDS_ONLY$|FORCE_COLOR$)/;

/** The environment of this process without what npm, tap and tests have put there. */
export function cleanEnvironment(): Record<string, string> {
  const entries = Object.entries(process.env).flatMap(([name, value]) =>
    value === undefined || OF_TESTS.test(name) ? [] : [[name, value] as const],
  );
  return Object.fromEntries(entries);
}
