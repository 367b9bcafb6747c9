/**
 * The tests of Node's own suites that end otherwise when connections run over shared memory, each
 * with its reason; run.ts fails for one that is missing here and for one that passes. Over TCP there
 * is none.
 */
export const differences: Readonly<Record<string, string>> = {};
