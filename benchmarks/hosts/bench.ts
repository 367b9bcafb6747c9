/**
 * `npm run bench -- hosts`: round trips, bulk transfers and http between two guests of the lab, by Node
 * over TCP, over rdma-net and over SMC-R, and by rstream, in interleaved rounds. Who cannot take part is
 * told with the reason, and the others go on; if that is rdma-net or Node over TCP, the command fails.
 */
import { Writable } from 'node:stream';
import { defaultKernelPackage } from '../../test/lab/kernel';
import { labAvailability, pairInLab } from '../../test/lab/lab';
import { scriptFile } from '../support/children';
import type { HostsComparison } from './compare';
import { hostsResults } from './results';
import { hostsWorkloads } from './workloads';
import { writeResults } from '../report/result-file';
import { resultLegend, resultLines, resultTextColumns } from '../report/result-lines';
import { describeMachine } from '../support/machine';
import { program, type CommandLine } from '../../test/command-line/program';
import { positiveSeconds, wholeNumber } from '../../test/command-line/options';
import { buildSmc, smcControl } from './smc';
import { printTable } from '../support/table';
import { labCaveat } from '../support/where';

const SERVER = '10.77.0.1';
/** SMC-R needs 6.12 with software RDMA, which is the default of Debian 13 and offered by 12. */
const SMC_KERNEL = 'linux-image-6.12-amd64';
const START_SECONDS = 120;
/** A measurement beside the time asked for: starting programs, waiting until they listen. */
const OVERHEAD_SECONDS = 8;

/** @returns a package that the lab can boot */
async function kernelFor(asked: string | undefined): Promise<string> {
  const reasons: string[] = [];
  const candidates = asked === undefined ? [SMC_KERNEL, defaultKernelPackage] : [asked];
  for (const candidate of candidates) {
    const availability = await labAvailability(undefined, candidate);
    if (availability.available) return candidate;
    reasons.push(availability.reason);
  }
  throw new Error(`the lab cannot be had: ${reasons.join('; ')}`);
}

/** What each guest does; SMC that cannot be had is for the measurement to find out. */
function commands(rounds: number, seconds: number): [string, string] {
  const join = `'${smcControl}' join eth0 rxe0 || true`;
  const script = (name: string): string => `'${process.execPath}' '${scriptFile(name)}'`;
  return [
    `${join}; ${script('hosts/agent.js')} ${SERVER} & lab-wait done; { kill $!; wait $!; } 2>/dev/null; true`,
    `${join}; lab-wait agent && ${script('hosts/compare.js')} ${SERVER} ${rounds} ${seconds}; ` +
      'status=$?; lab-signal done; exit $status',
  ];
}

async function compare(
  rounds: number,
  seconds: number,
  kernelPackage: string,
): Promise<HostsComparison> {
  let output = '';
  const stdout = new Writable({
    write(chunk: Buffer, _encoding, done) {
      output += chunk.toString();
      done();
    },
  });
  const measurements = hostsWorkloads.flatMap(({ contestants }) => contestants).length;
  const { status } = await pairInLab({
    commands: commands(rounds, seconds),
    kernelPackage,
    memoryMebibytes: 1536,
    timeoutSeconds: START_SECONDS + (rounds + 3) * measurements * (seconds + OVERHEAD_SECONDS),
    stdout,
    stderr: process.stderr,
  });
  const line = /^h2\| (\{.*\})$/m.exec(output)?.[1];
  if (status !== 0 || line === undefined) {
    throw new Error(`the measurement in the lab ended with status ${status}\n${output}`);
  }
  return JSON.parse(line) as HostsComparison;
}

const commandLine = {
  summary: 'two guests of the lab: Node over TCP, RDMA and SMC-R, and rstream',
  options: {
    rounds: { type: 'string', default: '3', takes: 'N', about: 'how many rounds' },
    seconds: { type: 'string', default: '1', takes: 'S', about: 'how long each measurement is' },
    kernel: {
      type: 'string',
      takes: 'PACKAGE',
      about: `what both boot; ${SMC_KERNEL} if it is there`,
    },
    json: { type: 'string', takes: 'FILE', about: 'where to write the results' },
  },
} as const satisfies CommandLine;

export const benchHosts = program(commandLine, async ({ values }) => {
  const rounds = wholeNumber('rounds', values.rounds, 100);
  const seconds = positiveSeconds(values.seconds);
  await buildSmc();
  const comparison = await compare(rounds, seconds, await kernelFor(values.kernel));
  const results = hostsResults(comparison, rounds, seconds);
  const { machine, notes = [] } = results;
  console.log(`\ntwo of ${describeMachine(machine)}, ${rounds} rounds of ${seconds} s\n`);
  printTable(resultLines(results), resultTextColumns);
  console.log(`\n${resultLegend}\n\n${notes.join('\n')}\n\n${labCaveat}`);
  if (values.json !== undefined) writeResults(values.json, results);
  if (comparison.absent.some(({ contestant }) => contestant !== 'smc')) process.exitCode = 1;
});
