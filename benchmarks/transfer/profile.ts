/**
 * The measurement of `npm run bench -- lab --profile FOLDER`: each transfer by rdma-net and by Node
 * over TCP under `node --cpu-prof`. Prints one line of JSON, {@link Profiles}, for what a guest writes
 * to files is lost with it.
 *
 *     node dist/benchmarks/transfer/profile.js ADDRESS SECONDS
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { calibrate } from '../../lib/bench/calibrate';
import { overRdma, overTcp } from '../support/environments';
import { hottest, type CpuProfile, type HotFunction } from '../support/cpu-profile';
import { TransferPair } from '../pair/transfer-pair';
import { workloads, type Workload } from './workloads';

export type Profiles = {
  name: string;
  side: 'server' | 'client';
  profile: CpuProfile;
  functions: HotFunction[];
}[];

const FUNCTIONS = 25;
/** What each side does first in a transfer: once it is seen to, the program has started. */
const FIRST_FUNCTIONS = { client: '#write', server: 'onStreamRead' };

async function profilesOf(
  address: string,
  contestant: string,
  workload: Workload,
  seconds: number,
): Promise<Profiles> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'rdma-net-profile-'));
  const pair = await TransferPair.start(
    address,
    contestant === 'rdma-net' ? overRdma : overTcp,
    (side) => ['--cpu-prof', '--cpu-prof-dir', path.join(folder, side)],
  );
  await pair.transfer(await calibrate(workload, pair, seconds));
  await pair.end();
  const profiles = (['client', 'server'] as const).map((side) => {
    const [file = ''] = readdirSync(path.join(folder, side));
    const profile = JSON.parse(readFileSync(path.join(folder, side, file), 'utf8')) as CpuProfile;
    const functions = hottest(profile, FUNCTIONS, FIRST_FUNCTIONS[side]);
    return { name: `${workload.name} ${contestant}`, side, profile, functions };
  });
  rmSync(folder, { recursive: true });
  return profiles;
}

async function main(): Promise<void> {
  const [address = '', seconds = '1'] = process.argv.slice(2);
  const profiles: Profiles = [];
  for (const workload of workloads) {
    for (const contestant of ['rdma-net', 'Node TCP']) {
      if (!workload.contestants.includes(contestant)) continue;
      process.stderr.write(`profiling ${workload.name}, ${contestant} ...\n`);
      profiles.push(...(await profilesOf(address, contestant, workload, Number(seconds))));
    }
  }
  process.stdout.write(`${JSON.stringify(profiles)}\n`);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
