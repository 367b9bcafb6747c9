/**
 * `npm run bench -- [http|lab|local|hosts|connect|overhead] [OPTIONS]`. `http`, if none is named: an
 * http server over TCP and RDMA; `lab`: transfers beside C programs on the same device; `local`: two
 * programs of this machine over shared memory and over TCP; `hosts`: two guests, also over SMC-R;
 * `connect`: the first connection to a peer without RDMA; `overhead`: what the preload costs over
 * TCP. Their options are in their own files.
 */
import { benchConnect } from './first-connect';
import { benchHosts } from './hosts-bench';
import { benchHttp } from './http-bench';
import { benchLab } from './lab-bench';
import { benchLocal } from './local-bench';
import { benchOverhead } from './overhead-bench';

const benchmarks: Record<string, (args: string[]) => Promise<void>> = {
  connect: benchConnect,
  hosts: benchHosts,
  http: benchHttp,
  lab: benchLab,
  local: benchLocal,
  overhead: benchOverhead,
};

async function main(): Promise<void> {
  const [first = '', ...rest] = process.argv.slice(2);
  if (first === '' || first.startsWith('-')) return benchHttp(process.argv.slice(2));
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
