/** `rdma-net explain`: what would be done about a peer, and what becomes of it. */

import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import net from 'node:net';
import { install } from '../install';
import { settings } from '../mode';
import { leave } from '../explain/leave';
import { foresee } from '../explain/prospect';
import { showExplanation, type Explanation, type PlainTcp } from '../explain/show';
import { tryToListen } from '../explain/listening';
import { describeFailure, lookupOf, tryToConnect } from '../explain/trial';
import { ExitStatus, UsageError, type Command } from './command';
import { showJson } from './json';
import { parseNumber, parseOptions, parseTarget } from './options';
import { painterFor } from './terminal';

const TIMEOUT_SECONDS = 10;

interface Request {
  readonly host: string;
  readonly port: number;
  readonly isListening: boolean;
  readonly isTls: boolean;
  readonly connects: boolean;
  readonly json: boolean;
  readonly timeoutMs: number;
}

function readArguments(args: readonly string[]): Request {
  const { values, positionals } = parseOptions({
    args: [...args],
    allowPositionals: true,
    options: {
      listen: { type: 'boolean', default: false },
      tls: { type: 'boolean', default: false },
      'no-connect': { type: 'boolean', default: false },
      program: { type: 'string' },
      timeout: { type: 'string', default: String(TIMEOUT_SECONDS) },
      json: { type: 'boolean', default: false },
    },
  });
  const [text, more] = positionals;
  if (text === undefined) throw new UsageError('explain needs HOST:PORT');
  if (more !== undefined) {
    const hint = /^\d+$/.test(more) ? `; write ${text}:${more}` : '';
    throw new UsageError(`${JSON.stringify(more)} is one argument too many${hint}`);
  }
  const { host, port } = parseTarget(text);
  if (port === undefined) throw new UsageError(`${JSON.stringify(text)} has no port: HOST:PORT`);
  if (port === 0 && !values.listen) throw new UsageError('nobody can connect to port 0');
  // Rules may be limited to programs, which they know by the script.
  if (values.program !== undefined) process.argv[1] = values.program;
  return {
    host,
    port,
    isListening: values.listen,
    isTls: values.tls,
    connects: !values['no-connect'],
    json: values.json,
    timeoutMs: parseNumber('timeout', values.timeout, [0.1, 600]) * 1000,
  };
}

async function lookUp(host: string): Promise<Explanation['lookup']> {
  const sinceMs = performance.now();
  try {
    const found = await lookup(host, { all: true });
    const addresses = found.map(({ address }) => address);
    return { milliseconds: performance.now() - sinceMs, addresses, failure: null };
  } catch (error) {
    const failure = describeFailure(error as Error);
    return { milliseconds: performance.now() - sinceMs, addresses: [], failure };
  }
}

/** The first connection of a process takes milliseconds more, which are nobody's but Node's. */
async function warmUp(): Promise<void> {
  const server = net.createServer((socket) => socket.destroy());
  try {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as net.AddressInfo;
    const socket = net.connect({ port, host: 'localhost', lookup: lookupOf(['127.0.0.1']) });
    socket.resume();
    await once(socket, 'close');
  } catch {
    // Then what is measured includes it.
  }
  server.close();
  // Rules may ask whether a socket has TLS, which loads it.
  if (settings.rules.length > 0) await import('node:tls');
}

/** Connects with a socket of Node's, which knows nothing of rdma-net. */
async function connectPlainly(
  { host, port, timeoutMs }: Request,
  addresses: readonly string[],
): Promise<PlainTcp> {
  const sinceMs = performance.now();
  const socket = net.connect({ host, port, lookup: lookupOf(addresses) });
  const failure = await new Promise<PlainTcp['failure']>((resolve) => {
    socket.setTimeout(timeoutMs, () => {
      const message = `nobody answered within ${timeoutMs / 1000} seconds`;
      resolve({ code: 'ETIMEDOUT', message, cause: null });
    });
    socket.once('connect', () => {
      resolve(null);
    });
    socket.once('error', (error) => {
      resolve(describeFailure(error));
    });
  });
  const { remoteAddress } = socket;
  const milliseconds = performance.now() - sinceMs;
  socket.setTimeout(0);
  await leave(socket);
  return { address: remoteAddress ?? null, milliseconds, failure };
}

async function explainPeer(request: Request): Promise<Explanation> {
  const { host, port, isListening, isTls, connects, timeoutMs } = request;
  const isName = net.isIP(host) === 0;
  const found = isName ? await lookUp(host) : null;
  const addresses = found?.addresses ?? [host];
  const direction = isListening ? 'listen' : 'connect';
  const name = isName && !isListening ? host : undefined;
  const prospects = [];
  for (const address of addresses) {
    prospects.push(await foresee(address, { direction, name, port, isTls }));
  }
  const before = {
    host,
    port,
    direction,
    tls: isTls,
    lookup: found,
    addresses: prospects,
  } as const;
  const none = { tcp: null, trial: null, listening: null };
  if (!connects || addresses.length === 0) return { ...before, ...none };
  if (isListening) {
    install(true);
    return { ...before, ...none, listening: await tryToListen(host, port, isTls, timeoutMs) };
  }
  await warmUp();
  // While only sockets of rdma-net's own classes are caught.
  const isAllTcp = prospects.every(({ wanted }) => wanted === 'tcp');
  const tcp = isAllTcp ? null : await connectPlainly(request, addresses);
  install(true);
  const trial = await tryToConnect({ host, port, addresses, isTls, timeoutMs });
  return { ...before, tcp, trial, listening: null };
}

/** Whether it came out as was wanted first. */
function isAsWanted({ addresses, trial, listening }: Explanation): boolean {
  const [first] = addresses;
  if (first === undefined) return false;
  if (listening !== null) {
    const { wanted, rule } = first;
    const best = listening.transports[0];
    // The order of a rule means nothing to a server: it has all of them.
    return best !== undefined && (best === wanted || (rule !== null && best !== 'tcp'));
  }
  if (trial === null) {
    return addresses.every(({ transports, wanted }) =>
      transports.some(({ transport, state }) => transport === wanted && state === 'tried'),
    );
  }
  const { outcome, failure } = trial;
  if (outcome === null || failure !== null) return false;
  const reached = addresses.find(({ address }) => address === outcome.address) ?? first;
  return outcome.transport === reached.wanted;
}

export const explain: Command = {
  help: `Usage: rdma-net explain [--listen] [--tls] [--no-connect] [--program SCRIPT]
                        [--timeout SECONDS] [--json] HOST:PORT

Tells what a program with rdma-net here would do about a server at HOST:PORT, and tries it: which
rule matches, in which order transports are tried, over which device and GID, how long each step
takes, and why it ended on TCP if it did. HOST is a name or an address, IPv6 in brackets.

It connects up to twice, once over plain TCP to compare and once as a program would, sends nothing
(but a TLS handshake with --tls), and closes. The server sees connections that end at once.

Options:
  --listen             for a server that would listen there: listens for a moment, and closes
  --tls                a socket or server with TLS, for rules with "tls"; certificates are not checked
  --no-connect         only look at rules, devices and routes
  --program SCRIPT     as if SCRIPT ran, for rules with "program"
  --timeout SECONDS    how long to wait for an answer, 0.1 to 600; default ${TIMEOUT_SECONDS}
  --json               print one JSON object instead of text

RDMA_NET and the other variables hold as for a program. What a running program remembers of peers
without RDMA is its own: what is shown is what would be remembered after this attempt.

Status: 0 when it ran over what comes first for that address (shared memory for this host, or RDMA,
or TCP where a rule says so), or could with --no-connect; 1 otherwise; 2 when the command line or the
configuration is wrong.`,
  async run(args) {
    const request = readArguments(args);
    install(false);
    const explanation = await explainPeer(request);
    const isGood = isAsWanted(explanation);
    if (request.json) console.log(showJson('explain', { ...explanation, asWanted: isGood }));
    else console.log(showExplanation(explanation, isGood, painterFor(process.stdout)).join('\n'));
    return isGood ? ExitStatus.Ok : ExitStatus.Trouble;
  },
};
