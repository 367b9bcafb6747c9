/**
 * `npm run bench [-- matrix] [OPTIONS]`: net, http, https and http2 over TCP, shared memory and RDMA,
 * in interleaved rounds of two processes. RDMA takes part where there is a device with an address, or
 * with `--lab`, in the lab's guest. All of it takes some fifteen minutes for TCP and shared memory.
 */
import { existsSync } from 'node:fs';
import { describeMachine } from '../support/machine';
import { matrixContestants } from './contestants';
import { runMatrix, type MatrixOptions } from './run';
import {
  matrixBodies,
  matrixConnections,
  matrixProtocols,
  matrixWorkloads,
  type MatrixBody,
} from './workloads';
import { UsageError } from '../../lib/commands/command';
import { program, type CommandLine, type Parsed } from '../../test/command-line/program';
import {
  chosen,
  positiveSeconds,
  wholeNumber,
  wholeNumbers,
} from '../../test/command-line/options';
import { joinResults, readResults, writeResults, type Results } from '../report/result-file';
import { resultLegend, resultLines, resultTextColumns } from '../report/result-lines';
import { printTable } from '../support/table';
import { findDevice, labCaveat, runMeasurement, type Device } from '../support/where';

const bodyNames = Object.keys(matrixBodies) as MatrixBody[];

/** Small enough for an emulated processor. */
const labDefaults = { protocols: 'net,http', bodies: 'hello,64KiB', connections: '10' };
const LAB_START_SECONDS = 90;
/** What one measurement takes beside its time in the lab. */
const LAB_STEP_SECONDS = 6;

const commandLine = {
  summary: 'net, http, https and http2 over TCP, shared memory and RDMA',
  about: `RDMA takes part where there is a device with an address, or in the lab. What can be listed is all
measured unless fewer are named.`,
  options: {
    protocols: { type: 'string', takes: 'LIST', about: `of ${matrixProtocols.join(',')}` },
    bodies: { type: 'string', takes: 'LIST', about: `of ${bodyNames.join(',')}` },
    connections: {
      ...{ type: 'string', takes: 'LIST' },
      about: `of whole numbers; default ${matrixConnections.join(',')}`,
    },
    transports: {
      ...{ type: 'string', takes: 'LIST' },
      about: `of ${Object.keys(matrixContestants).join(',')}; others are compared with the first`,
    },
    rounds: { type: 'string', default: '3', takes: 'N', about: 'how many rounds' },
    seconds: { type: 'string', default: '0.6', takes: 'S', about: 'how long each measurement is' },
    json: { type: 'string', takes: 'FILE', about: 'where to write the results' },
    append: { type: 'boolean', default: false, about: 'keep what FILE has of other workloads' },
    lab: {
      ...{ type: 'boolean', default: false },
      about: "in the lab's guest, with software RDMA; less of everything by default",
    },
  },
} as const satisfies CommandLine;

type Given = Parsed<typeof commandLine>['values'];

function optionsFrom(given: Given, device: Device | undefined): MatrixOptions {
  const { lab } = given;
  const everything = {
    protocols: matrixProtocols.join(),
    bodies: bodyNames.join(),
    connections: matrixConnections.join(),
  };
  const defaults = lab ? labDefaults : everything;
  const names = Object.keys(matrixContestants);
  const hasRdma = lab || device !== undefined;
  const transports = chosen(
    'transports',
    given.transports ?? names.filter((name) => hasRdma || name !== 'rdma').join(),
    names,
  );
  if (transports.includes('rdma') && !hasRdma) {
    throw new Error('there is no RDMA device with an address here; --lab measures in the lab');
  }
  return {
    protocols: chosen('protocols', given.protocols ?? defaults.protocols, matrixProtocols),
    bodies: chosen('bodies', given.bodies ?? defaults.bodies, bodyNames),
    connections: wholeNumbers('connections', given.connections ?? defaults.connections, 10_000),
    transports,
    rounds: wholeNumber('rounds', given.rounds, 100),
    seconds: positiveSeconds(given.seconds),
    lab,
    device: transports.includes('rdma') ? (lab ? 'rxe' : (device?.name ?? null)) : null,
  };
}

async function measure(options: MatrixOptions, device: Device | undefined): Promise<Results> {
  if (!options.lab) return runMatrix(device?.address ?? '127.0.0.1', options);
  const steps = matrixWorkloads(options).length * options.transports.length * (options.rounds + 1);
  const timeoutSeconds = LAB_START_SECONDS + steps * (options.seconds + LAB_STEP_SECONDS);
  const args = [JSON.stringify(options)];
  const output = await runMeasurement('matrix/run.js', args, undefined, timeoutSeconds);
  return JSON.parse(output) as Results;
}

export const benchMatrix = program(commandLine, async ({ values: given }) => {
  const device = given.lab ? undefined : findDevice();
  const options = optionsFrom(given, device);
  const { json, append } = given;
  if (append && json === undefined) throw new UsageError('--append is of no use without --json');
  // Read before anything is measured: what is wrong with it should be known at once.
  const earlier = append && json !== undefined && existsSync(json) ? readResults(json) : undefined;
  const results = await measure(options, device);
  console.log(`\n${describeMachine(results.machine)}, ${results.rounds} rounds\n`);
  printTable(resultLines(results), resultTextColumns);
  console.log(`\n${resultLegend}`);
  const { workloads, contestants, measurements } = results;
  if (measurements.length < workloads.length * contestants.length) process.exitCode = 1;
  if (results.machine.lab) console.log(`\n${labCaveat}`);
  if (json !== undefined) {
    writeResults(json, earlier === undefined ? results : joinResults(earlier, results));
  }
});
