/** `npm run bench -- local --profile FOLDER`: both sides of each workload under `node --cpu-prof`. */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { hottest, type CpuProfile } from '../support/cpu-profile';
import { comparePairs, type CompareOptions, type PairContestant } from '../pair/compare';
import type { PairWorkload } from '../pair/workloads';
import { printTable } from '../support/table';

const FUNCTIONS = 25;
/** What each side does first when it measures: once it is seen to, the program has started. */
const FIRST_FUNCTIONS = {
  transfer: { client: '#write', server: 'onStreamRead' },
  http: { client: 'Client._doRequest', server: 'answer' },
  connect: { client: 'connectOn', server: 'count' },
};

async function profileOne(
  folder: string,
  workload: PairWorkload,
  contestant: PairContestant,
  options: Pick<CompareOptions, 'address' | 'seconds' | 'say'>,
): Promise<void> {
  const name = `${workload.name} ${contestant.name}`.replaceAll(/[ ,]+/g, '-');
  const folderOf = (side: string): string => path.join(folder, name, side);
  await comparePairs({
    ...options,
    workloads: [workload],
    contestants: [contestant],
    rounds: 1,
    flags: (side) => ['--cpu-prof', '--cpu-prof-dir', folderOf(side)],
  });
  for (const side of ['client', 'server'] as const) {
    const [file = ''] = readdirSync(folderOf(side)).filter((each) => each.endsWith('.cpuprofile'));
    const where = path.join(folderOf(side), file);
    const profile = JSON.parse(readFileSync(where, 'utf8')) as CpuProfile;
    const functions = hottest(profile, FUNCTIONS, FIRST_FUNCTIONS[workload.kind][side]);
    console.log(`\n${workload.name}, ${contestant.name}, ${side}: ${where}\n`);
    const lines = functions.map((each) => [(each.share * 100).toFixed(1), each.where]);
    printTable([['% of time', 'in'], ...lines], new Set([1]));
  }
}

/** Writes the profiles into a folder, and prints where the time went. */
export async function profileLocally(folder: string, options: CompareOptions): Promise<void> {
  mkdirSync(folder, { recursive: true });
  for (const workload of options.workloads) {
    for (const contestant of options.contestants) {
      if (!contestant.takesPartIn(workload)) continue;
      options.say(`profiling ${workload.name}, ${contestant.name} ...`);
      await profileOne(folder, workload, contestant, { ...options, say: () => undefined });
    }
  }
}
