/**
 * `npm run bench -- [NAME] [OPTIONS]`. The options are in the file of each.
 *
 * - `matrix`, if none is named: net, http, https and http2 over TCP, shared memory and RDMA.
 * - `report`, `readme`, `compare`: what is made of its results.
 * - `http`: an http server over TCP and RDMA.
 * - `lab`: transfers beside C programs on the same device.
 * - `local`: two programs of this machine over shared memory and over TCP.
 * - `hosts`: two guests, also over SMC-R.
 * - `connect`: the first connection to a peer without RDMA.
 * - `overhead`: what the preload costs over TCP.
 */
import { benchMatrix } from './matrix/bench';
import { benchCompare } from './report/compare-bench';
import { benchConnect } from './connect/bench';
import { benchHosts } from './hosts/bench';
import { benchHttp } from './http/bench';
import { benchLab } from './transfer/bench';
import { benchLocal } from './local/bench';
import { benchOverhead } from './overhead/bench';
import { benchReadme } from './report/readme-bench';
import { benchReport } from './report/report-bench';

const benchmarks: Record<string, (args: string[]) => Promise<void>> = {
  compare: benchCompare,
  connect: benchConnect,
  hosts: benchHosts,
  http: benchHttp,
  lab: benchLab,
  local: benchLocal,
  matrix: benchMatrix,
  overhead: benchOverhead,
  readme: benchReadme,
  report: benchReport,
};

async function main(): Promise<void> {
  const [first = '', ...rest] = process.argv.slice(2);
  if (first === '' || first.startsWith('-')) return benchMatrix(process.argv.slice(2));
  const bench = Object.hasOwn(benchmarks, first) ? benchmarks[first] : undefined;
  if (bench === undefined) {
    throw new Error(`no benchmark ${first}; there are ${Object.keys(benchmarks).join(', ')}`);
  }
  return bench(rest);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
