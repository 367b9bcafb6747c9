/** A profile as `node --cpu-prof` writes it. */
export interface CpuProfile {
  nodes: {
    id: number;
    callFrame: { functionName: string; url: string; lineNumber: number };
  }[];
  samples: number[];
  timeDeltas: number[];
}

/** A function, and its share of the time; what it calls has shares of its own. */
export interface HotFunction {
  where: string;
  share: number;
}

function nameOf({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']) {
  const name = functionName === '' ? '(anonymous)' : functionName;
  // What V8 counts apart, as (idle) and (program), and what is native have no place in a file.
  return url === '' ? name : `${name} ${url.replace(/^.*\/(?=dist\/)/, '')}:${lineNumber + 1}`;
}

/**
 * The functions that most of the time was spent in, the hottest first.
 * @param first the name of a function: what was before its first sample, the start of Node and of
 *   the program, does not count
 */
export function hottest(profile: CpuProfile, most: number, first?: string): HotFunction[] {
  const { nodes, samples, timeDeltas } = profile;
  const firstIds = nodes.filter(({ callFrame }) => callFrame.functionName === first);
  const begin = samples.findIndex((sample) => firstIds.some(({ id }) => id === sample));
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const times = new Map<string, number>();
  let total = 0;
  samples.forEach((id, index) => {
    if (index < begin) return;
    // A sample's time is that since the sample before it.
    const time = timeDeltas[index] ?? 0;
    const name = names.get(id) ?? '(unknown)';
    times.set(name, (times.get(name) ?? 0) + time);
    total += time;
  });
  return [...times]
    .map(([where, time]) => ({ where, share: time / total }))
    .toSorted((a, b) => b.share - a.share)
    .slice(0, most);
}
