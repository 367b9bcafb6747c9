/** What `rdma-net doctor` says of the lab's guest: as it is, and with one fault after the other. */
import t, { type Test } from 'tap';
import type { DoctorReport } from '../../lib/commands/doctor';
import { examine, shell, type Examination } from './examine';
import { faults, prepareGuest, type Fault } from './faults';
import { PATIENT } from './program';

/** All faults together, of which each takes some seconds. */
const TIMEOUT = { timeout: 2 * PATIENT.timeout };

/** The ids of what is not as it should be. */
function foundIn(output: string): string[] {
  return [...output.matchAll(/^(?:FAIL|warn) +(\S+)/gm)].map(([, id = '']) => id);
}

function judge(t: Test, fault: Fault, { code, output }: Examination): void {
  t.same(foundIn(output), fault.found, fault.title);
  t.match(output.replace(/\s+/g, ' '), fault.says);
  t.equal(code, fault.status);
  t.comment(`${fault.title}\n${output}`);
}

export function doctorTests(): void {
  void t.test('doctor finds what each fault is, and how to heal it', TIMEOUT, async (t) => {
    await prepareGuest();
    // What changes only the doctor's own process is looked at two by two.
    const all = faults().filter(({ pageOnly }) => pageOnly !== true);
    const own = all.filter(({ make }) => make === undefined);
    while (own.length > 0) {
      await Promise.all(
        own.splice(0, 2).map(async (fault) => judge(t, fault, await examine(fault))),
      );
    }
    for (const fault of all.filter(({ make }) => make !== undefined)) {
      t.equal(await shell(fault.make ?? []), '', `${fault.title}: made`);
      const examination = await examine(fault);
      t.equal(await shell(fault.heal ?? []), '', `${fault.title}: healed`);
      judge(t, fault, examination);
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
      /^ok +udp-4791 .*no rule of nftables or\s+iptables/m,
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
