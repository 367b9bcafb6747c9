/** What the doctor makes of libraries, kernel, permissions, limits and packet filters. */

import { reasonFor } from '../reasons';
import { asRoot, notApplicable, ok, problem, problemOf, warning, type Check } from './check';
import type { DeviceFileFacts, Facts, FilterFacts, LibraryFacts } from './facts';
import { giveDevices, installCommand, loadModule, raiseMemoryLock } from './remedies';

/** Of locked memory, what a connection has: see stream/receiver.h, verbs/device.h. */
const IDLE_BYTES = 8 << 10;
const SEND_BYTES = 256 << 10;
const RECEIVE_BYTES = 1 << 20;
/** The rest of the limit is left to the plug-in of the device: see verbs/budget.cc. */
const USABLE_PART = 0.75;

export function checkHost(facts: Facts): Check[] {
  return [
    ...facts.libraries.map((library) => checkLibrary(facts, library)),
    ...checkModules(facts),
    ...checkFiles(facts),
    ...checkNamespace(facts),
    checkMemoryLock(facts),
    ...checkFilter(facts),
  ];
}

function checkLibrary({ system }: Facts, library: LibraryFacts): Check {
  const { name, file, version, error, lacking } = library;
  const install = installCommand(system, 'libraries');
  if (error !== undefined) {
    const damaged = file === undefined ? '' : `; it is damaged, or for another system: ${file}`;
    return problemOf('library', reasonFor('library-missing', `${error}${damaged}`), [install]);
  }
  if (lacking.length > 0) {
    const detail = `${file ?? name} has no function ${lacking.join(', ')}`;
    const fix = [`a newer rdma-core: ${install}`];
    // Not the one of the distribution, which is new enough.
    const searched = process.env['LD_LIBRARY_PATH'] ?? '';
    const isGiven =
      searched !== '' && file !== undefined && searched.includes(file.slice(0, -name.length - 1));
    if (isGiven) fix.unshift(`take its folder out of LD_LIBRARY_PATH=${searched}`);
    return problemOf('library', reasonFor('library-too-old', detail), fix);
  }
  // The third number of rdma-core's versions of libraries is its own.
  const core = version?.split('.')[2];
  const release = core === undefined || core === '0' ? '' : ` (rdma-core ${core})`;
  return ok('library', `${name} ${version ?? 'of unknown version'}${release}, ${file ?? ''}`);
}

function checkModules({ system, modules, devices, elsewhere }: Facts): Check[] {
  const missing = modules.filter(({ state }) => state === 'not loaded').map(({ name }) => name);
  const there = modules.filter(({ state }) => state !== 'not loaded');
  const text = there.map(({ name, state }) => (state === 'loaded' ? name : `${name} (built in)`));
  if (missing.length === 0) return [ok('modules', text.join(', '))];
  if (devices.length === 0 && elsewhere.length === 0) {
    return [notApplicable('modules', `not loaded, for want of a device: ${missing.join(', ')}`)];
  }
  const names = missing.join(', ');
  const what = `The kernel has not loaded ${names}, without which no program can use RDMA.`;
  // Each brings the others that it needs.
  const module = missing.includes('rdma_ucm') ? 'rdma_ucm' : (missing[0] ?? '');
  return [problem('modules', what, loadModule(system, module), 'no-device')];
}

function checkFiles(facts: Facts): Check[] {
  const { files, modules, program } = facts;
  if (program.permissionModel) return [];
  const hasManager = modules.every(
    ({ name, state }) => name !== 'rdma_ucm' || state !== 'not loaded',
  );
  // What a module that is missing would make is no problem of its own.
  const expected = files.filter(({ path }) => hasManager || !path.endsWith('rdma_cm'));
  if (expected.length === 0) return [];
  const bad = expected.filter(({ error }) => error !== undefined);
  const all = expected.map(({ path }) => path).join(', ');
  if (bad.length === 0) return [ok('device-files', `${all}: may be opened`)];
  const paths = bad.map(({ path }) => path).join(', ');
  const missing = bad.filter(({ error }) => error === 'ENOENT');
  if (missing.length > 0) {
    const text = `The kernel has the devices, but there is no ${missing.map(({ path }) => path).join(', ')}.`;
    return [problem('device-files', text, makeFiles(facts, missing), 'no-device')];
  }
  if (bad.every(({ error }) => error === 'EACCES')) {
    const shown = bad.map(({ path, permissions }) => `${path} ${permissions ?? ''}`).join(', ');
    const text = `${facts.system.userName} may not read and write ${shown}.`;
    return [problem('device-files', text, permitFiles(facts, bad), 'permission-denied')];
  }
  const codes = [...new Set(bad.map(({ error }) => error))].join(', ');
  const fix =
    facts.system.container === undefined
      ? [
          'let its control group (systemd: DeviceAllow=char-infiniband_verbs rw) and namespace have them',
        ]
      : [giveDevices(facts.system)];
  return [
    problem('device-files', `${paths} cannot be opened (${codes}).`, fix, 'permission-denied'),
  ];
}

function makeFiles({ system }: Facts, files: readonly DeviceFileFacts[]): string[] {
  if (system.container !== undefined) return [giveDevices(system)];
  const commands = files.flatMap(({ path, numbers }) =>
    numbers === undefined
      ? []
      : [asRoot(system, `mknod -m 666 ${path} c ${numbers.replace(':', ' ')}`)],
  );
  return [
    'in a container: give it the folder, as docker run --device /dev/infiniband does',
    asRoot(system, 'udevadm trigger --subsystem-match=misc --subsystem-match=infiniband_verbs'),
    ...(commands.length === 0 ? [] : [asRoot(system, 'mkdir -p /dev/infiniband')]),
    ...commands,
  ];
}

function permitFiles({ system }: Facts, files: readonly DeviceFileFacts[]): string[] {
  if (system.container !== undefined) return [giveDevices(system)];
  const group = files.every((one) => one.group === files[0]?.group) ? files[0]?.group : undefined;
  if (group !== undefined) {
    return [`${asRoot(system, `usermod -aG ${group} ${system.userName}`)}, and log in again`];
  }
  const rule = 'KERNEL=="rdma_cm|uverbs*", MODE="0666"';
  const file = '/etc/udev/rules.d/90-rdma-net.rules';
  return [
    asRoot(system, `chmod 666 ${files.map(({ path }) => path).join(' ')}`),
    `after each boot, too: echo '${rule}' | ${asRoot(system, `tee ${file}`)}`,
  ];
}

function checkNamespace(facts: Facts): Check[] {
  const { system, devices, elsewhere, netdevs, exclusiveNamespaces } = facts;
  const known = new Set(netdevs.map(({ name }) => name));
  const apart = devices.flatMap(({ name, ports }) =>
    ports
      .filter((port) => port.netdevs.length > 0 && !port.netdevs.some((each) => known.has(each)))
      .map((port) => ({ name, netdev: port.netdevs[0] ?? '' })),
  );
  const checks: Check[] = [];
  if (elsewhere.length > 0) {
    const names = elsewhere.join(', ');
    const text = `Another network namespace has ${names}, and devices are not shared.`;
    const move = asRoot(system, `rdma dev set ${elsewhere[0] ?? ''} netns NAME`);
    const fix = [
      `in the namespace that has it, with the NAME of this one: ${move}`,
      `or share all, before other namespaces are made: ${asRoot(system, 'rdma system set netns shared')}`,
    ];
    const isAlone = devices.length === 0;
    checks.push(isAlone ? problem('namespace', text, fix, 'no-device') : ok('namespace', text));
  }
  for (const { name, netdev } of apart) {
    const text = `${name} stands on ${netdev}, which is in another network namespace.`;
    const fix = [
      system.container === undefined
        ? 'run the program in that namespace: ip netns exec NAME ...'
        : 'give the container the network of the host: docker run --network host ...',
      'or give this namespace a virtual function, or a macvlan or VLAN on the network device',
    ];
    const isAlone = apart.length === devices.length;
    checks.push(
      isAlone ? problem('namespace', text, fix, 'no-route') : warning('namespace', text, fix),
    );
  }
  if (checks.length > 0 || devices.length === 0) return checks;
  const text = exclusiveNamespaces ? 'has devices of its own' : 'devices are shared with others';
  return [ok('namespace', `this network namespace: ${text}`)];
}

/** As `8 MiB`. */
export function size(bytes: number): string {
  if (bytes === Infinity) return 'unlimited';
  if (bytes < 1 << 20) return `${Math.floor(bytes / 1024)} KiB`;
  return bytes < 10 * 2 ** 30
    ? `${Math.floor(bytes / 2 ** 20)} MiB`
    : `${Math.floor(bytes / 2 ** 30)} GiB`;
}

/** How many connections this much locked memory allows. */
function capacity(bytes: number): string {
  const idle = Math.max(Math.floor((bytes - SEND_BYTES) / IDLE_BYTES), 0);
  const streaming = Math.floor(bytes / (IDLE_BYTES + SEND_BYTES + RECEIVE_BYTES));
  return `about ${idle} idle connections, or ${streaming} that stream both ways at full speed`;
}

function checkMemoryLock({ system, program, memoryLock }: Facts): Check {
  const { soft, hard, exempt } = memoryLock;
  const wanted = program.pinnedBytesMax;
  const usable = Math.floor(soft * USABLE_PART);
  const isFree = exempt || usable >= wanted;
  const own = `${size(wanted)} (RDMA_NET_PINNED_BYTES_MAX) in a process: ${capacity(wanted)}`;
  if (isFree)
    return ok('memory-lock', `${exempt ? 'no limit for this process' : size(soft)}; ${own}`);
  const shellMay = hard * USABLE_PART >= wanted;
  const limits = `ulimit -l is ${size(soft)} (hard: ${size(hard)}) for each process`;
  const fix = raiseMemoryLock(system, shellMay);
  if (usable < IDLE_BYTES + SEND_BYTES) {
    const text = `Too little memory may be locked for a single connection: ${limits}.`;
    return problem('memory-lock', text, fix, 'memory-lock-limit');
  }
  const text = `${limits}, of which rdma-net uses ${size(usable)}: ${capacity(usable)}. More go to TCP.`;
  return warning('memory-lock', text, fix);
}

function checkFilter({ system, devices, filter }: Facts): Check[] {
  if (filter === undefined) {
    if (devices.length === 0) return [];
    return [notApplicable('udp-4791', 'packets of an adapter do not go through the packet filter')];
  }
  if (filter.rules.length > 0) {
    const where = filter.rules.map(({ chain, verdict }) => `${chain}: ${verdict}`).join('; ');
    const text = `The packet filter keeps out RoCE, which is UDP to port 4791 (${where}).`;
    const fix = filter.rules.map(({ command }) => asRoot(system, command));
    return [problem('udp-4791', text, fix, 'peer-unreachable')];
  }
  if (filter.sendRefused) {
    const text = 'The kernel refuses to send UDP to port 4791, which is RoCE.';
    const fix = [
      `find the rule: ${asRoot(system, 'nft -a list ruleset')}, or ${asRoot(system, 'iptables-legacy-save')}`,
      `or put another before it: ${asRoot(system, 'iptables -I OUTPUT -p udp --dport 4791 -j ACCEPT')}`,
    ];
    return [problem('udp-4791', text, fix, 'peer-unreachable')];
  }
  return [ok('udp-4791', seenText(filter))];
}

function seenText({ seen, unread }: FilterFacts): string {
  const sent = 'packets to UDP port 4791 leave';
  if (unread.length > 0) return `${sent}; the rules of ${unread.join(' and ')} cannot be read`;
  if (seen === 'nftables') return `${sent}, and no rule of nftables or iptables keeps them out`;
  if (seen === 'not root') return `${sent}; the rules for those that come are shown to root only`;
  if (seen === 'nft failed') return `${sent}; the rules for those that come cannot be read by nft`;
  return `${sent}; without the command nft the rules for those that come are not seen`;
}
