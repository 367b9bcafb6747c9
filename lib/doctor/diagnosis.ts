/** From facts to findings: what is right, what is not, and what sockets will do. Knows no machine. */

import type { ReasonCode } from '../reasons';
import { notApplicable, ok, problemOf, type Check } from './check';
import { checkAddresses, checkDevices } from './device-checks';
import type { Facts } from './facts';
import { checkHost } from './host-checks';
import { checkProgram, isBlocked } from './program-checks';

/** Checks that belong together. */
export interface Section {
  title: string;
  checks: Check[];
}

/** What sockets will do. */
export interface Verdict {
  /** Whether nothing is wrong that keeps sockets from what was asked for: exit status 0. */
  usable: boolean;
  local: boolean;
  rdma: boolean;
  problems: number;
  warnings: number;
  /** The codes of the reasons that sockets will have for being on TCP, as far as they are known. */
  reasons: ReasonCode[];
  text: string;
}

export interface Diagnosis {
  sections: Section[];
  verdict: Verdict;
}

export function diagnose(facts: Facts): Diagnosis {
  const program: Section = { title: 'This program', checks: checkProgram(facts) };
  const sections = [program, ...diagnoseRdma(facts)];
  return { sections, verdict: judge(facts, sections) };
}

function diagnoseRdma(facts: Facts): Section[] {
  const blocked = isBlocked(facts);
  if (blocked !== undefined) return [{ title: 'RDMA', checks: [blocked] }];
  const host: Section = { title: 'This host', checks: checkHost(facts) };
  const devices: Section = { title: 'RDMA devices', checks: checkDevices(facts) };
  const addresses: Section = { title: 'Addresses', checks: checkAddresses(facts) };
  const found = [host, devices, addresses].flatMap(({ checks }) => checks);
  devices.checks.push(...checkOpening(facts, found));
  return [host, devices, addresses].filter(({ checks }) => checks.length > 0);
}

/** What fails when all is tried at once is news only where nothing before has explained it. */
function checkOpening({ opening }: Facts, found: readonly Check[]): Check[] {
  if (opening === undefined) return [];
  const { reason } = opening;
  if (reason === undefined) return [ok('opening', 'libraries and devices open, and listen')];
  const isExplained = found.some(({ state }) => state === 'problem');
  if (isExplained) return [notApplicable('opening', `fails, as is to be expected: ${reason.text}`)];
  return [problemOf('opening', reason)];
}

function judge({ program, local, opening }: Facts, sections: readonly Section[]): Verdict {
  const checks = sections.flatMap((section) => section.checks);
  const count = (state: Check['state']): number =>
    checks.filter((check) => check.state === state).length;
  const problems = count('problem');
  const hasLocal = local !== undefined && local.reason === undefined;
  const hasRdma = opening !== undefined && opening.reason === undefined && problems === 0;
  const reasons = checks.flatMap(({ state, reason }) =>
    state === 'problem' && reason !== undefined ? [reason] : [],
  );
  return {
    usable: problems === 0,
    local: hasLocal,
    rdma: hasRdma,
    problems,
    warnings: count('warning'),
    reasons: [...new Set(reasons)],
    text: describe(hasLocal, hasRdma, program.mode === 'require'),
  };
}

function describe(local: boolean, rdma: boolean, required: boolean): string {
  const parts: string[] = [];
  if (local) parts.push('Sockets will use shared memory to programs on this host.');
  if (rdma) parts.push('Sockets will use RDMA to peers that can.');
  else if (required) parts.push('Others will fail: RDMA_NET=require.');
  else parts.push(local ? 'To others they will use TCP.' : 'Sockets will use TCP.');
  return parts.join(' ');
}
