/** `rdma-net doctor`: whether RDMA and shared memory can be used here, and what is missing. */

import { diagnose, type Diagnosis } from '../doctor/diagnosis';
import type { Facts } from '../doctor/facts';
import { gatherFacts } from '../doctor/gather';
import { onlyProblems, printDiagnosis } from '../doctor/print';
import { readEnvironment } from '../mode';
import { ExitStatus, UsageError, type Command } from './command';
import { showJson, type JsonHead } from './json';
import { parseOptions } from './options';
import { painterFor } from './terminal';

const WIDTH_MAX = 100;

/** What `doctor --json` writes. */
export interface DoctorReport extends JsonHead {
  /** Those of {@link Diagnosis.sections}, one after the other. */
  checks: Diagnosis['sections'][number]['checks'];
  facts: Facts;
  verdict: Diagnosis['verdict'];
}

function report(
  facts: Facts,
  { sections, verdict }: Diagnosis,
): Omit<DoctorReport, keyof JsonHead> {
  const checks = sections.flatMap((section) => section.checks);
  return { checks, facts, verdict };
}

function readArguments(args: readonly string[]): { json: boolean; problems: boolean } {
  const { values, positionals } = parseOptions({
    args: [...args],
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      problems: { type: 'boolean', default: false },
    },
  });
  const [more] = positionals;
  if (more !== undefined) {
    throw new UsageError(
      `doctor looks at this machine, and takes no ${JSON.stringify(more)}; explain looks at a peer`,
    );
  }
  return values;
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
  --json       one JSON object instead: { format, version, command, facts, verdict,
               checks: [{ id, state, text, fix, reason }] };
               a state is "ok", "warning", "problem" or "not-applicable"

Status: 0 when there is no problem, and sockets will use RDMA (shared memory, where RDMA is switched
off), 1 otherwise, 2 when the command line or the configuration is wrong.`,
  async run(args) {
    const { json, problems } = readArguments(args);
    readEnvironment(process.env);
    const facts = await gatherFacts();
    const all = diagnose(facts);
    const diagnosis = problems ? onlyProblems(all) : all;
    if (json) {
      console.log(showJson('doctor', report(facts, diagnosis)));
    } else {
      const width = Math.min(process.stdout.columns || WIDTH_MAX, WIDTH_MAX);
      console.log(printDiagnosis(diagnosis, width, painterFor(process.stdout)).join('\n'));
    }
    return diagnosis.verdict.usable ? ExitStatus.Ok : ExitStatus.Trouble;
  },
};
