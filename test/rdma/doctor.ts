/** What `rdma-net doctor` says of the lab's guest: as it is, and with one fault after the other. */
import t from 'tap';
import path from 'node:path';
import type { DoctorReport } from '../../lib/commands/doctor';
import { faults, prepareGuest, type Fault } from './faults';
import { PATIENT, root, run } from './program';

/** All faults together, of which each takes some seconds. */
const TIMEOUT = { timeout: 2 * PATIENT.timeout };

/** How doctor ended, and what it wrote. */
export interface Examination {
  code: number | null;
  output: string;
}

/** Runs doctor, as far as a fault says how. */
export async function examine(
  { wrapper = [], flags = [], environment = {} }: Partial<Fault>,
  ...args: string[]
): Promise<Examination> {
  const cli = path.join(root, 'dist', 'lib', 'cli.js');
  const settings = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  // What the test runner has every child load would write where another user may not.
  const unset = ['-u', 'NODE_OPTIONS', '-u', 'RDMA_NET_TRANSPORTS'];
  const command = [
    'env',
    ...unset,
    ...settings,
    process.execPath,
    ...flags,
    cli,
    'doctor',
    ...args,
  ];
  const [first = '', ...rest] = [...wrapper, ...command];
  return run(first, rest);
}

/** Runs lines of a shell. Resolves with what went wrong, '' if nothing. */
export async function shell(lines: readonly string[]): Promise<string> {
  for (const line of lines) {
    const { code, output } = await run('sh', ['-c', line]);
    if (code !== 0) return `${line}: status ${code} ${output}`;
  }
  return '';
}

/** The ids of what is not as it should be. */
function foundIn(output: string): string[] {
  return [...output.matchAll(/^(?:FAIL|warn) +(\S+)/gm)].map(([, id = '']) => id);
}

export function doctorTests(): void {
  void t.test('doctor finds what each fault is, and how to heal it', TIMEOUT, async (t) => {
    await prepareGuest();
    for (const fault of faults()) {
      t.equal(await shell(fault.make ?? []), '', `${fault.title}: made`);
      const { code, output } = await examine(fault);
      t.equal(await shell(fault.heal ?? []), '', `${fault.title}: healed`);
      t.same(foundIn(output), fault.found, fault.title);
      t.match(output.replace(/\s+/g, ' '), fault.says);
      t.equal(code, fault.status);
      t.comment(`${fault.title}\n${output}`);
    }
  });

  void t.test('where nothing is wrong doctor says what all is there', PATIENT, async (t) => {
    const { code, output } = await examine({});
    t.same(foundIn(output), []);
    t.equal(code, 0);
    for (const line of [
      /^ok +local +shared memory: a message there and back in /m,
      /^ok +library +librdmacm\.so\.1 1\.\d/m,
      /^ok +library +libibverbs\.so\.1 1\.\d/m,
      /^ok +modules +ib_core, ib_uverbs, rdma_cm, rdma_ucm$/m,
      /^ok +device-files +\/dev\/infiniband\/rdma_cm, \/dev\/infiniband\/uverbs0: may be opened/m,
      /^ok +memory-lock +no limit/m,
      /^ok +udp-4791 .*no rule of nftables/m,
      /^ok +device +rxe0: rxe, RDMA in software/m,
      /^ok +provider +rxe0: \S+\/librxe-rdmav\d+\.so$/m,
      /^ok +port +rxe0\/1: ACTIVE, Ethernet, .*MTU 4096/m,
      /^ok +address +10\.77\.0\.1 \(veth0\): rxe0\/1, GID \d+ \(RoCE v2\);\s+connected to itself/m,
      /^Sockets will use shared memory [^]* RDMA to peers that can\.\nNo problems$/m,
    ]) {
      t.match(output, line);
    }
    t.comment(output);
  });

  void t.test('doctor --json has the same for programs', PATIENT, async (t) => {
    const { code, output } = await examine({}, '--json');
    const report = JSON.parse(output) as DoctorReport;
    t.equal(code, 0);
    t.match(report, {
      format: 1,
      version: /^\d/,
      facts: {
        devices: [{ name: 'rxe0', driver: 'rxe', ports: [{ number: 1, state: 'ACTIVE' }] }],
        addresses: [{ address: '10.77.0.1', rdma: { device: 'rxe0', port: 1 } }, {}],
        trials: [{ address: '10.77.0.1', mtu: 4096 }, { address: 'fd77::1' }],
      },
      verdict: { usable: true, local: true, rdma: true, problems: 0, warnings: 0 },
    });
    t.ok(report.checks.every(({ state }) => state === 'ok'));
  });
}
