/** What `--json` prints: objects with one head, whichever command it is. */

import { packageVersion } from '../version';

/** With what each of these objects begins. */
export interface JsonHead {
  /** Raised when a reader of the former one would misunderstand it; else fields are only added. */
  readonly format: 1;
  /** Of rdma-net. */
  readonly version: string;
  readonly command: string;
}

function headOf(command: string): JsonHead {
  return { format: 1, version: packageVersion(), command };
}

/** One object over many lines, for people to read, too. */
export function showJson(command: string, body: object): string {
  return JSON.stringify({ ...headOf(command), ...body }, undefined, 2);
}

/** One of many objects, of which each has a line of its own. */
export function showJsonLine(command: string, body: object): string {
  return JSON.stringify({ ...headOf(command), ...body });
}
