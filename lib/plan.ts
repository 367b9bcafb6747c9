/** What a socket that connects, or a server that listens, may use: the rules first, then the rest. */

import type { Server, Socket } from 'node:net';
import { debug } from './diagnostics';
import { noteRule } from './info';
import { hostAskedOf } from './internals';
import { settings, type FabricTransportName, type Mode } from './mode';
import { reasonFor, type Reason, type ReasonCode } from './reasons';
import { matchRule, type Rule, type RuleInfo, type RuleQuestion } from './rule';

/** What was decided once for one connect or listen. */
export interface Plan {
  /** `off` when there is nothing but TCP; `require` when TCP is out of the question. */
  readonly mode: Mode;
  /** What is tried, in this order. */
  readonly transports: readonly FabricTransportName[];
  /** Why nothing is tried, if so. */
  readonly reason: Reason | undefined;
  /** The rule that has decided, if one has. */
  readonly rule: RuleInfo | undefined;
}

/** What {@link explainRule} is asked about. */
export interface PlanQuestion extends RuleQuestion {
  /** Asked only when a rule is about TLS. */
  readonly isTls: () => boolean;
}

// One object for each rule and outcome: fallbacks are counted and told apart by their reasons.
const reasonsOfRules = { 'rule-tcp': new WeakMap(), 'rule-tls': new WeakMap() } satisfies Partial<
  Record<ReasonCode, WeakMap<Rule, Reason>>
>;

function reasonOf(rule: Rule, code: keyof typeof reasonsOfRules): Reason {
  const known: WeakMap<Rule, Reason> = reasonsOfRules[code];
  let reason = known.get(rule);
  if (reason === undefined) {
    reason = reasonFor(code, describeRule(rule));
    known.set(rule, reason);
  }
  return reason;
}

/** A rule and where it stands, in one line. */
export function describeRule({ text, source, line }: RuleInfo): string {
  return `${text} (${source}, line ${line})`;
}

function planOfRule(rule: Rule, question: PlanQuestion): Plan {
  const mode = rule.mode ?? settings.mode;
  const { transports } = rule;
  if (transports.length === 0) {
    return { mode: 'off', transports, reason: reasonOf(rule, 'rule-tcp'), rule };
  }
  if (!rule.tls || question.isTls()) return { mode, transports, reason: undefined, rule };
  const left = mode === 'require' ? mode : 'off';
  return { mode: left, transports: [], reason: reasonOf(rule, 'rule-tls'), rule };
}

function planOfAll(): Plan {
  const { mode, transports } = settings;
  const reason = mode === 'off' ? reasonFor('mode-off') : undefined;
  return { mode, transports, reason, rule: undefined };
}

/** What would be done about this, and which rule says so. Nothing is tried. */
export function explainRule(question: PlanQuestion): Plan {
  const rule = settings.mode === 'off' ? undefined : matchRule(settings.rules, question);
  return rule === undefined ? planOfAll() : planOfRule(rule, question);
}

function follow(target: Socket | Server, question: PlanQuestion): Plan {
  const plan = explainRule(question);
  const { rule } = plan;
  noteRule(target, rule);
  const { direction, address, port } = question;
  if (rule !== undefined) debug('%s %s:%d: %s', direction, address, port, describeRule(rule));
  return plan;
}

type TlsModule = typeof import('node:tls');

// Who has not loaded it has no sockets and servers of it, and loading it takes a while.
function tls(): TlsModule {
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  return require('node:tls') as TlsModule;
}

/** What a socket may use that is about to connect. */
export function planConnect(socket: Socket, address: string, port: number): Plan {
  if (settings.rules.length === 0) return planOfAll();
  const name = hostAskedOf(socket);
  const isTls = (): boolean => socket instanceof tls().TLSSocket;
  return follow(socket, { direction: 'connect', name, address, port, isTls });
}

/** What a server may use that is about to listen. */
export function planListen(server: Server, address: string, port: number): Plan {
  if (settings.rules.length === 0) return planOfAll();
  const isTls = (): boolean => server instanceof tls().Server;
  return follow(server, { direction: 'listen', name: undefined, address, port, isTls });
}
