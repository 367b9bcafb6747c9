/** One rule: which sockets and servers it is about, and what they may use. */

import type { HostPattern, PlainEndpoint, PortPattern } from './endpoint-pattern';
import type { FabricTransportName, Mode, TransportName } from './mode';

/** Whom a rule is about: sockets that connect, servers that listen, or both. */
export type RuleDirection = 'connect' | 'listen' | '*';

/** A rule as an object, for {@link Settings.rules}. It means what the text with its parts means. */
export interface RuleObject {
  /** Only in programs whose script has this name; `*` and `?` stand for any text and character. */
  program?: string;
  /** Default `*`. */
  direction?: RuleDirection;
  /** An address, a network, `localhost`, a name with or without `*`; default `*`. */
  host?: string;
  /** A port, a range such as `'8000-8999'`, or `'*'`, which is the default. */
  port?: number | string;
  /** `require`: an error where it would be TCP. */
  mode?: 'prefer' | 'require';
  /** True when sockets without TLS are to use TCP. */
  tls?: boolean;
  /** What may be used, in the order of trying; `tcp` can only be the last. */
  transports: TransportName | readonly TransportName[];
}

/** Which rule decided about a socket or server: see {@link info}. */
export interface RuleInfo {
  /** The rule itself. */
  readonly text: string;
  /** Where it stands: `RDMA_NET_RULES`, the name of a file, or `rules[2]` of `configure()`. */
  readonly source: string;
  /** From 1. */
  readonly line: number;
}

/** What a rule is asked about. */
export interface RuleQuestion extends PlainEndpoint {
  readonly direction: 'connect' | 'listen';
}

/** A rule that has been checked. */
export interface Rule extends RuleInfo {
  /** Whether it is for the program that runs. */
  readonly isOfProgram: () => boolean;
  readonly direction: RuleDirection;
  readonly host: HostPattern;
  readonly ports: PortPattern;
  /** Undefined where that of all holds. */
  readonly mode: Exclude<Mode, 'off'> | undefined;
  readonly tls: boolean;
  /** What is tried before TCP, in this order; nothing when it is about TCP alone. */
  readonly transports: readonly FabricTransportName[];
}

function isAbout({ direction, host, ports, isOfProgram }: Rule, question: RuleQuestion): boolean {
  const [first, last] = ports;
  return (
    (direction === '*' || direction === question.direction) &&
    question.port >= first &&
    question.port <= last &&
    isOfProgram() &&
    host.matches(question)
  );
}

/** The first rule that is about this; the others are not looked at. */
export function matchRule(rules: readonly Rule[], question: RuleQuestion): Rule | undefined {
  return rules.find((rule) => isAbout(rule, question));
}
