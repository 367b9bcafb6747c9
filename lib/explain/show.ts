/** An explanation as text. */

import { showTarget } from '../commands/options';
import { columns, type Painter } from '../commands/terminal';
import { settings } from '../mode';
import { describeRule } from '../plan';
import type { Reason } from '../reasons';
import type { Listening } from './listening';
import type { Prospect, TransportProspect } from './prospect';
import type { Failure, Outcome, Step, Trial } from './trial';

/** How a plain socket of Node's connected. */
export interface PlainTcp {
  readonly address: string | null;
  readonly milliseconds: number;
  readonly failure: Failure | null;
}

/** What `rdma-net explain --json` prints, between its head and `asWanted`. */
export interface Explanation {
  readonly host: string;
  readonly port: number;
  readonly direction: 'connect' | 'listen';
  readonly tls: boolean;
  /** Null for an address. */
  readonly lookup: {
    readonly milliseconds: number;
    readonly addresses: readonly string[];
    readonly failure: Failure | null;
  } | null;
  readonly addresses: readonly Prospect[];
  /** Null where the trial is over TCP in any case, and where nothing was tried. */
  readonly tcp: PlainTcp | null;
  readonly trial: Trial | null;
  readonly listening: Listening | null;
}

const STEP_TEXTS: Readonly<Record<Step['step'], string>> = {
  open: 'open libraries and devices',
  address: 'resolve the address',
  route: 'resolve the route',
  device: 'make the device ready',
  answer: 'request and answer',
  connect: 'connect',
  tls: 'TLS handshake',
  skip: 'not tried',
  fail: 'failed',
};

function time(milliseconds: number): string {
  return `${milliseconds.toFixed(milliseconds < 100 ? 2 : 0)} ms`;
}

function describeReason(reason: Reason): string {
  return `${reason.code}: ${reason.text}${reason.detail === '' ? '' : ` ${reason.detail}`}`;
}

function showTransport(prospect: TransportProspect, paint: Painter): string {
  const { transport, state, reason } = prospect;
  if (state === 'tried') return transport;
  if (state === 'beside') {
    const why = reason?.code === 'loopback' ? 'a loopback address' : 'another host';
    return paint('faint', `${transport} (not for ${why})`);
  }
  return paint('bad', `${transport} (${reason?.code ?? 'missing'})`);
}

function showRoute({ route }: Prospect): string[][] {
  if (route === null) return [['route', 'this host has no route to it']];
  const { source, networkInterface, entry } = route;
  const rows = [['from', `${source}${networkInterface === null ? '' : ` (${networkInterface})`}`]];
  if (entry === null) return [...rows, ['device', 'no RDMA device has that address']];
  const { device, devicePort, gid, gidIndex, gidType } = entry;
  const type = gidType === null ? '' : ` (${gidType})`;
  return [...rows, ['device', `${device} port ${devicePort}, GID ${gidIndex} ${gid}${type}`]];
}

function showProspect(prospect: Prospect, paint: Painter): string[] {
  const { address, isOfThisHost, rule, mode, transports, reason } = prospect;
  const order = transports.map((one) => showTransport(one, paint)).join(', ');
  const rows = [
    ['rule', rule === null ? 'none matches' : describeRule(rule)],
    ['mode', rule !== null && mode === 'off' ? 'TCP only, as the rule says' : mode],
    ['order', order === '' ? 'nothing may be used' : order],
    ...(isOfThisHost ? [] : showRoute(prospect)),
  ];
  // Of an address of this host only the device is of interest.
  if (isOfThisHost && (prospect.route?.entry ?? null) !== null) rows.push(...showRoute(prospect));
  const problems = transports.flatMap((one) => {
    return one.state === 'missing' && one.reason !== null ? showReason(one.reason, paint) : [];
  });
  const why = reason === null ? [] : [`${reason.code}: ${reason.text}`];
  if (reason?.code === 'rule-tls') why.push('What it would be with TLS, --tls tells.');
  return [
    '',
    paint('strong', address) + (isOfThisHost ? ', an address of this host' : ''),
    ...columns(rows).map((line) => `  ${line}`),
    ...[...why, ...problems].map((line) => `  ${line}`),
  ];
}

function showReason(reason: Reason, paint: Painter): string[] {
  const lines = [describeReason(reason)];
  if (reason.fix !== '') lines.push(`${paint('strong', 'Fix:')} ${reason.fix}`);
  return lines;
}

function showSteps({ lookup, addresses, tcp, trial }: Explanation): string[] {
  const rows: string[][] = [];
  if (lookup !== null) rows.push(['', 'look up the name', time(lookup.milliseconds)]);
  if (tcp !== null) {
    const text = tcp.failure === null ? 'connect, to compare' : `${tcp.failure.code}, to compare`;
    rows.push(['tcp', text, time(tcp.milliseconds)]);
  }
  for (const { address, transport, step, milliseconds, reason } of trial?.steps ?? []) {
    const isSetUp = step === 'open' && transport === 'local';
    const text = isSetUp ? 'set up shared memory' : STEP_TEXTS[step];
    const why = reason === null ? '' : `: ${reason.code}`;
    // Which of several addresses is meant.
    const place = addresses.length > 1 ? ` (${address})` : '';
    rows.push([transport, `${text}${why}${place}`, step === 'skip' ? '' : time(milliseconds)]);
  }
  return columns(rows).map((line) => `  ${line}`);
}

function showOutcome(outcome: Outcome, isGood: boolean, paint: Painter): string[] {
  const { transport, address, milliseconds, roundTripMilliseconds, reason } = outcome;
  const trip = roundTripMilliseconds === null ? '' : `, round trip ${time(roundTripMilliseconds)}`;
  const head = `Connected over ${transport} to ${address} in ${time(milliseconds)}${trip}`;
  const lines = ['', paint(isGood ? 'good' : 'warning', head)];
  const { device, devicePort, localGid, remoteGid, mtu, peer, features = [] } = outcome;
  if (transport === 'rdma') {
    lines.push(`  ${device ?? ''} port ${devicePort ?? 0}, path MTU ${mtu ?? 0}`);
    lines.push(`  GID ${localGid ?? ''} to ${remoteGid ?? ''}`);
  }
  if (peer !== undefined) {
    const extras = features.length === 0 ? '' : `, features ${features.join(', ')}`;
    lines.push(`  the peer speaks ${peer}${extras}`);
  }
  if (reason !== null) lines.push(...showReason(reason, paint).map((line) => `  ${line}`));
  return lines;
}

const HINTS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'Nobody listens at that address and port, over whatever was tried.',
  ETIMEDOUT: 'The host is down, or something on the way drops what is sent to it.',
  EHOSTUNREACH: 'The host is down, or not on the network that leads to it.',
  ENETUNREACH: 'There is no way to it: no route, or over RDMA no device.',
  EACCES: 'It is forbidden: by a rule that wants TLS, or by this system.',
};

// What happened before tells more than the code.
function hintFor(code: string, isConnected: boolean, hasTcp: boolean): string | undefined {
  if (isConnected) {
    return code === 'ETIMEDOUT'
      ? 'The server is there, and may not speak TLS at that port.'
      : undefined;
  }
  if (code !== 'ECONNREFUSED' || !hasTcp) return HINTS[code];
  return 'A server listens there over TCP alone, which is not allowed here: run it with rdma-net too.';
}

function showFailure(
  { code, message, cause }: Failure,
  isConnected: boolean,
  hasTcp: boolean,
  paint: Painter,
): string[] {
  const hint = hintFor(code, isConnected, hasTcp);
  const more = [cause, hint].filter((line) => typeof line === 'string');
  const what = isConnected ? 'No TLS' : 'Not connected';
  return ['', paint('bad', `${what}: ${code}`), ...[message, ...more].map((one) => `  ${one}`)];
}

function showTrial(trial: Trial, hasTcp: boolean, isGood: boolean, paint: Painter): string[] {
  const { outcome, failure, remembered } = trial;
  const lines = outcome === null ? [] : showOutcome(outcome, isGood, paint);
  if (failure !== null) lines.push(...showFailure(failure, outcome !== null, hasTcp, paint));
  if (remembered !== null) {
    const seconds = settings.peerMemoryMs / 1000;
    lines.push(
      `  A program goes to TCP at once for ${seconds} seconds after that (${remembered.code}).`,
    );
  }
  return lines;
}

function showListening(listening: Listening, isGood: boolean, paint: Painter): string[] {
  const { transports, reasons, milliseconds, failure } = listening;
  if (failure !== null) {
    const why = failure.cause === null ? [] : [`  ${failure.cause}`];
    return ['', paint('bad', `Could not listen: ${failure.code}`), `  ${failure.message}`, ...why];
  }
  const head = `Listened over ${transports.join(', ')} within ${time(milliseconds)}`;
  const lines = ['', paint(isGood ? 'good' : 'warning', head)];
  for (const [name, reason] of Object.entries(reasons)) {
    const [first = '', ...rest] = showReason(reason, paint);
    lines.push(`  not over ${name}: ${first}`, ...rest.map((line) => `  ${line}`));
  }
  return lines;
}

/** Lines without an end. */
export function showExplanation(
  explanation: Explanation,
  isGood: boolean,
  paint: Painter,
): string[] {
  const { host, port, direction, tls, lookup, addresses, tcp, trial, listening } = explanation;
  const lines = [`${direction} ${showTarget(host, port)}${tls ? ' with TLS' : ''}`];
  if (lookup?.failure)
    lines.push('', paint('bad', `The name is not known: ${lookup.failure.message}`));
  for (const prospect of addresses) lines.push(...showProspect(prospect, paint));
  if (trial !== null) {
    lines.push('', paint('strong', 'Tried now'), ...showSteps(explanation));
    lines.push(...showTrial(trial, tcp?.failure === null, isGood, paint));
  }
  if (listening !== null) lines.push(...showListening(listening, isGood, paint));
  return lines;
}
