/** `rdma-net bench`: how fast two programs are over TCP, shared memory and RDMA. */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { findOwnDevice } from '../explain/device-route';
import { info } from '../info';
import { install } from '../install';
import { listenForBench, placeOf, type Served } from '../bench/listener';
import { measure, type BenchResult, type Measurement } from '../bench/measure';
import type { TransportName } from '../mode';
import { pairwise, showSpread } from '../statistics';
import { ExitStatus, UsageError, type Command } from './command';
import { showJson, showJsonLine } from './json';
import { parseNumber, parseOptions, parseTarget, showTarget } from './options';
import { Progress } from './progress';
import { columns, painterFor } from './terminal';

const DEFAULT_PORT = 18_516;
const SECONDS = 12;
const ROUNDS = 5;
const TRANSPORTS: readonly TransportName[] = ['tcp', 'local', 'rdma'];

function readArguments(args: readonly string[]) {
  const { values, positionals } = parseOptions({
    args: [...args],
    allowPositionals: true,
    options: {
      listen: { type: 'boolean', default: false },
      host: { type: 'string' },
      'until-eof': { type: 'boolean', default: false },
      transports: { type: 'string' },
      seconds: { type: 'string', default: String(SECONDS) },
      rounds: { type: 'string', default: String(ROUNDS) },
      json: { type: 'boolean', default: false },
    },
  });
  const [where, more] = positionals;
  if (more !== undefined) throw new UsageError(`${JSON.stringify(more)} is one argument too many`);
  if (!values.listen && (values.host !== undefined || values['until-eof'])) {
    throw new UsageError('--host and --until-eof go with --listen');
  }
  const seconds = parseNumber('seconds', values.seconds, [0.1, 600]);
  const rounds = parseNumber('rounds', values.rounds, [1, 100]);
  if (!Number.isInteger(rounds)) {
    throw new UsageError(`--rounds is ${JSON.stringify(values.rounds)}; expected a whole number`);
  }
  return { values: { ...values, seconds, rounds }, where };
}

type Values = ReturnType<typeof readArguments>['values'];

function readTransports(text: string | undefined): TransportName[] | undefined {
  if (text === undefined) return undefined;
  const names = new Set(text.split(',').map((name) => name.trim()));
  return [...names].map((name) => {
    const found = TRANSPORTS.find((transport) => transport === name);
    if (found !== undefined) return found;
    throw new UsageError(
      `--transports has ${JSON.stringify(name)}; expected some of ${TRANSPORTS.join(',')}`,
    );
  });
}

// The listening side -------------------------------------------------------------------------------

function describeServed({ peer, transport, bytes, seconds, failure }: Served): string {
  const amount = `${(bytes / 2 ** 20).toFixed(1)} MiB in ${seconds.toFixed(2)} s`;
  return `${peer} over ${transport}: ${amount}${failure === undefined ? '' : `, ${failure}`}`;
}

async function serve(values: Values, where: string | undefined): Promise<number> {
  const port = where === undefined ? DEFAULT_PORT : Number(where);
  if (!Number.isInteger(port) || port < 0 || port > 65_535 || where === '') {
    throw new UsageError(`${JSON.stringify(where)} is no port: bench --listen [PORT]`);
  }
  const onServed = (served: Served): void => {
    const line = (): string => showJsonLine('bench', { event: 'served', ...served });
    console.log(values.json ? line() : describeServed(served));
  };
  let server;
  try {
    server = await listenForBench(port, values.host, onServed);
  } catch (error) {
    console.error(`rdma-net: ${(error as Error).message}`);
    return ExitStatus.Trouble;
  }
  const place = placeOf(server);
  const { transports } = info(server);
  const text = `listening on ${showTarget(place.address, place.port)} over ${transports.join(', ')}`;
  const listening = { event: 'listening', address: place.address, port: place.port, transports };
  console.log(values.json ? showJsonLine('bench', listening) : text);
  if (values['until-eof']) {
    process.stdin.resume().once('end', () => {
      server.close();
    });
  }
  await once(server, 'close');
  return ExitStatus.Ok;
}

// The measuring side -------------------------------------------------------------------------------

/** Another process of this host that listens, and ends with this one. */
class OwnPeer {
  readonly #child: ChildProcess;
  readonly port: number;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  static async start(host: string): Promise<OwnPeer> {
    const script = path.join(__dirname, '..', 'cli.js');
    const args = ['bench', '--listen', '0', '--host', host, '--until-eof', '--json'];
    const environment = { ...process.env };
    // It takes what comes: this side says what is measured.
    for (const name of ['RDMA_NET', 'RDMA_NET_TRANSPORTS', 'RDMA_NET_RULES', 'RDMA_NET_CONFIG']) {
      Reflect.deleteProperty(environment, name);
    }
    const child = spawn(process.execPath, [script, ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: environment,
    });
    const lines = createInterface(child.stdout);
    const line = await Promise.race([
      once(lines, 'line').then(([text]) => String(text)),
      once(child, 'exit').then(() => undefined),
    ]);
    if (line === undefined) throw new Error('the other side did not start');
    child.stdout.resume();
    return new OwnPeer(child, (JSON.parse(line) as { port: number }).port);
  }

  async end(): Promise<void> {
    const ended = this.#child.exitCode === null ? once(this.#child, 'exit') : undefined;
    this.#child.stdin?.end();
    await ended;
  }
}

function ratioToTcp(own: Measurement, all: readonly Measurement[]): string {
  const tcp = all.find((one) => one.workload === own.workload && one.transport === 'tcp');
  if (tcp === undefined || own.transport === 'tcp') return '';
  return `${showSpread(
    pairwise(own.rounds, tcp.rounds, (ours, theirs) => ours / theirs),
    2,
  )} of tcp`;
}

function showResult({ measurements, unavailable }: BenchResult): string[] {
  const paint = painterFor(process.stdout);
  const rows = measurements.map((one) => {
    const digits = one.unit === 'us' ? 1 : 0;
    const p99 = one.p99 === null ? '' : `p99 ${one.p99.toFixed(digits)} ${one.unit}`;
    const figure = `${showSpread(one.rounds, digits)} ${one.unit}`;
    return [one.workload, one.transport, figure, p99, ratioToTcp(one, measurements)];
  });
  const lines = columns(rows).map((line) => line.trimEnd());
  const missing = unavailable.map(({ transport, text }) => `not over ${transport}: ${text}`);
  return [...lines, ...missing.map((line) => paint('faint', line))];
}

interface Measuring {
  readonly host: string;
  readonly port: number;
  readonly values: Values;
  /** Those that were asked for by name. */
  readonly named: readonly TransportName[] | undefined;
  readonly isOwnPeer: boolean;
}

async function measureAndTell({ host, port, values, named, isOwnPeer }: Measuring) {
  const { seconds, rounds } = values;
  const progress = new Progress(process.stderr);
  let result: BenchResult;
  try {
    const { say } = progress;
    const transports = named ?? TRANSPORTS;
    result = await measure({ host, port, transports, seconds, rounds, say });
  } finally {
    progress.end();
  }
  const { measurements, unavailable } = result;
  if (values.json) {
    const peer = isOwnPeer ? 'own' : 'given';
    const about = { host, port, peer, node: process.version, seconds, rounds };
    console.log(showJson('bench', { ...about, measurements, unavailable }));
  } else if (measurements.length > 0) {
    console.log(`${showTarget(host, port)}, median [least, most] of ${rounds} rounds\n`);
    console.log(showResult(result).join('\n'));
  }
  if (measurements.length === 0) {
    const [first] = unavailable;
    console.error(`rdma-net: no transfer with ${showTarget(host, port)}: ${first?.text ?? ''}`);
    const isKnown = first?.code !== 'ENOTFOUND' && first?.code !== 'EAI_AGAIN';
    if (!isOwnPeer && isKnown) console.error('Is `rdma-net bench --listen` running there?');
  }
  const isAll = named === undefined ? measurements.length > 0 : unavailable.length === 0;
  return isAll ? ExitStatus.Ok : ExitStatus.Trouble;
}

async function measureWithOwnPeer(
  values: Values,
  named: readonly TransportName[] | undefined,
): Promise<number> {
  const host = findOwnDevice()?.address ?? '127.0.0.1';
  const peer = await OwnPeer.start(host);
  try {
    return await measureAndTell({ host, port: peer.port, values, named, isOwnPeer: true });
  } finally {
    await peer.end();
  }
}

export const bench: Command = {
  help: `Usage: rdma-net bench [--transports LIST] [--seconds N] [--rounds N] [--json] [HOST[:PORT]]
       rdma-net bench --listen [PORT] [--host ADDRESS] [--until-eof] [--json]

Measures latency (64 B round trips) and throughput (writes of 64 KiB and 1 MiB) to HOST over tcp,
local (shared memory, on this host) and rdma: those that can be had. The rounds of all take turns;
what is shown is the median of the rounds with the least and the most. On HOST, run
rdma-net bench --listen. Without HOST it starts the other side itself, on this host, at the address of
an RDMA device if there is one, else at 127.0.0.1.

Options:
  --transports LIST    some of tcp,local,rdma; one that cannot be had is an error then
  --seconds N          how long to measure in all, about, 0.1 to 600; default ${SECONDS}
  --rounds N           1 to 100; default ${ROUNDS}
  --json               print JSON; progress still goes to stderr

The other side:
  --listen [PORT]      serves transfers; default port ${DEFAULT_PORT}
  --host ADDRESS       at this address of this host; default all
  --until-eof          ends when its standard input does

Whoever reaches the other side may transfer: it is for networks that you trust. It takes bytes and
drops them, or sends back as many, of its own; at most 8 connections at a time, 1 MiB a message, 1 TiB
and 5 minutes a connection, 10 seconds of silence.

Status: 0 when it was measured, 1 when nobody answered or a named transport could not be had, 2 when
the command line is wrong.`,
  async run(args) {
    const { values, where } = readArguments(args);
    install(false);
    if (values.listen) return serve(values, where);
    const named = readTransports(values.transports);
    if (where === undefined) return measureWithOwnPeer(values, named);
    const { host, port = DEFAULT_PORT } = parseTarget(where);
    return measureAndTell({ host, port, values, named, isOwnPeer: false });
  },
};
