/** What would be done about one address, without connecting to it. */

import { isIPv6 } from 'node:net';
import { isLoopback, isUnspecified, unmapped } from '../address';
import { ownsLoopback } from '../binding';
import type { FabricTransportName, Mode, TransportName } from '../mode';
import { explainRule, type Plan } from '../plan';
import { reasonFor, type Reason } from '../reasons';
import type { RuleInfo } from '../rule';
import { internalsDiffer } from '../self-check';
import { localTransport, rdmaTransport } from '../transport';
import { findSourceRoute, isOwnAddress, type SourceRoute } from './device-route';

/** What is known of one transport before it is tried. */
export interface TransportProspect {
  readonly transport: TransportName;
  /**
   * `tried`: it will be. `beside`: not for this address, as shared memory for another host. `missing`:
   * it would be tried, but this host lacks something.
   */
  readonly state: 'tried' | 'beside' | 'missing';
  /** Why not. */
  readonly reason: Reason | null;
}

/** See the top of the file. */
export interface Prospect {
  readonly address: string;
  readonly family: 'IPv4' | 'IPv6';
  readonly isOfThisHost: boolean;
  readonly rule: RuleInfo | null;
  readonly mode: Mode;
  /** In the order of trying. */
  readonly transports: readonly TransportProspect[];
  /** What comes first for this address; null where there is nothing that may be used. */
  readonly wanted: TransportName | null;
  /** Why nothing but TCP is tried, or nothing at all. */
  readonly reason: Reason | null;
  /** How it is reached; null when there is no route. */
  readonly route: SourceRoute | null;
}

/** What is asked. */
export interface Question {
  readonly direction: 'connect' | 'listen';
  /** The name that was asked for, if it was one. */
  readonly name: string | undefined;
  readonly port: number;
  readonly isTls: boolean;
}

function staysHere(address: string): boolean {
  const plain = unmapped(address);
  return isLoopback(plain) || isUnspecified(plain);
}

function prospectOfRdma(
  address: string,
  isListening: boolean,
  route: SourceRoute | undefined,
): Omit<TransportProspect, 'transport'> {
  const isAnywhere = isListening && isUnspecified(unmapped(address));
  if (staysHere(address) && !isAnywhere && !ownsLoopback()) {
    return { state: 'beside', reason: reasonFor('loopback') };
  }
  const missing = rdmaTransport.unavailable() ?? internalsDiffer();
  if (missing !== undefined) return { state: 'missing', reason: missing };
  if (!isAnywhere && !ownsLoopback() && (route?.entry ?? null) === null) {
    return { state: 'missing', reason: reasonFor('no-route') };
  }
  return { state: 'tried', reason: null };
}

function prospectOf(
  name: FabricTransportName,
  address: string,
  { direction }: Question,
  route: SourceRoute | undefined,
): TransportProspect {
  const isListening = direction === 'listen';
  if (name === 'rdma') {
    return { transport: name, ...prospectOfRdma(address, isListening, route) };
  }
  if (!isListening && !staysHere(address) && !isOwnAddress(address)) {
    return { transport: name, state: 'beside', reason: null };
  }
  const reason = localTransport.unavailable() ?? internalsDiffer();
  return reason === undefined
    ? { transport: name, state: 'tried', reason: null }
    : { transport: name, state: 'missing', reason };
}

function orderOf({ mode, transports }: Plan): TransportName[] {
  if (mode === 'off') return ['tcp'];
  return mode === 'require' ? [...transports] : [...transports, 'tcp'];
}

/** Looks at rules, this host's devices and its routes; nothing is opened, and nothing is sent. */
export async function foresee(address: string, question: Question): Promise<Prospect> {
  const { isTls, ...rest } = question;
  const plan = explainRule({ ...rest, address, isTls: () => isTls });
  const route = await findSourceRoute(address);
  const transports = orderOf(plan).map((name): TransportProspect => {
    if (name === 'tcp') return { transport: name, state: 'tried', reason: null };
    return prospectOf(name, address, question, route);
  });
  const { rule, mode } = plan;
  return {
    address,
    family: isIPv6(address) ? 'IPv6' : 'IPv4',
    isOfThisHost: staysHere(address) || isOwnAddress(address),
    rule: rule === undefined ? null : { text: rule.text, source: rule.source, line: rule.line },
    mode,
    transports,
    wanted: transports.find(({ state }) => state !== 'beside')?.transport ?? null,
    reason: plan.reason ?? null,
    route: route ?? null,
  };
}
