import { run } from './program';

/** What processes hold of the RDMA devices, as `rdma resource show` counts it. */
export interface Resources {
  queuePairs: number;
  memoryRegions: number;
  cmIds: number;
}

interface Listed {
  pid?: number;
  comm?: string;
}

async function list(kind: string): Promise<Listed[]> {
  const { code, output } = await run('rdma', ['-j', 'resource', 'show', kind]);
  if (code !== 0) throw new Error(`rdma resource show ${kind}: ${output}`);
  return JSON.parse(output) as Listed[];
}

/** Counts what these processes hold. What belongs to the kernel itself has no pid. */
export async function resourcesOf(pids: number[]): Promise<Resources> {
  const count = async (kind: string): Promise<number> =>
    (await list(kind)).filter(({ pid }) => pid !== undefined && pids.includes(pid)).length;
  return {
    queuePairs: await count('qp'),
    memoryRegions: await count('mr'),
    cmIds: await count('cm_id'),
  };
}

/** Asks again, as often as the kernel reports a change in between, until the counts are these. */
export async function resourcesBecome(
  pids: number[],
  wanted: (resources: Resources) => boolean,
): Promise<Resources> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const resources = await resourcesOf(pids);
    if (wanted(resources) || Date.now() > deadline) return resources;
  }
}
