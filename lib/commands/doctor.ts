/** `rdma-net doctor`: whether RDMA and shared memory can be used here, and what is missing. */

import { diagnose, type Diagnosis } from '../doctor/diagnosis';
import type { Facts } from '../doctor/facts';
import { gatherFacts } from '../doctor/gather';
import { onlyProblems, printDiagnosis } from '../doctor/print';
import { readEnvironment } from '../mode';
import { packageVersion } from '../version';
import { ExitStatus, UsageError, type Command } from './command';
import { painterFor } from './terminal';

const WIDTH_MAX = 100;

/** What `doctor --json` writes. Fields are only added as long as `format` is the same. */
export interface DoctorReport {
  format: 1;
  /** Of rdma-net. */
  version: string;
  /** Those of {@link Diagnosis.sections}, one after the other. */
  checks: Diagnosis['sections'][number]['checks'];
  facts: Facts;
  verdict: Diagnosis['verdict'];
}

function report(facts: Facts, { sections, verdict }: Diagnosis): DoctorReport {
  const checks = sections.flatMap((section) => section.checks);
  return { format: 1, version: packageVersion(), checks, facts, verdict };
}

export const doctor: Command = {
  help: `Usage: rdma-net doctor [--problems] [--json]

Looks at everything that RDMA and shared memory need on this machine: Node and the addon, libraries
and plug-ins, devices, ports and addresses, modules, permissions, locked memory, network namespaces
and packet filters. Opens the devices, and connects this process to itself at each of their
addresses. Changes nothing, and needs no root, but root sees more: the rules of packet filters.

For whatever is not right it tells what changes it. Run it as the user, and in the container, of the
program that it is about.

  --problems   leave out what is right
  --json       one JSON object instead: { format, version, checks: [{ id, state, text, fix, reason }],
               facts, verdict }; a state is "ok", "warning", "problem" or "not-applicable"

Exits with 0 when there is no problem, and sockets will use RDMA (shared memory, where RDMA is
switched off), else with 1.`,
  async run(args) {
    const unknown = args.find((arg) => arg !== '--json' && arg !== '--problems');
    if (unknown !== undefined) {
      throw new UsageError(`doctor has no option ${JSON.stringify(unknown)}`);
    }
    readEnvironment(process.env);
    const facts = await gatherFacts();
    const all = diagnose(facts);
    const diagnosis = args.includes('--problems') ? onlyProblems(all) : all;
    if (args.includes('--json')) {
      console.log(JSON.stringify(report(facts, diagnosis), undefined, 2));
    } else {
      const width = Math.min(process.stdout.columns || WIDTH_MAX, WIDTH_MAX);
      console.log(printDiagnosis(diagnosis, width, painterFor(process.stdout)).join('\n'));
    }
    return diagnosis.verdict.usable ? ExitStatus.Ok : ExitStatus.Trouble;
  },
};
