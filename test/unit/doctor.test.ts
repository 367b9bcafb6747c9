import { readFileSync } from 'node:fs';
import path from 'node:path';
import t, { type Test } from 'tap';
import type { Check } from '../../lib/doctor/check';
import { findDevices, findDevicesElsewhere } from '../../lib/doctor/devices';
import { diagnose } from '../../lib/doctor/diagnosis';
import type { Facts } from '../../lib/doctor/facts';
import { Files } from '../../lib/machine/files';
import { gidOf, showGid } from '../../lib/machine/gids';
import { rulesAgainstRoce } from '../../lib/doctor/filters';
import { savedRulesAgainstRoce } from '../../lib/doctor/iptables';
import { findAdapters, findMemoryLock } from '../../lib/doctor/host';
import { findLibraries } from '../../lib/doctor/libraries';
import { findTakenNames } from '../../lib/doctor/local-names';
import { findAddresses, findNetdevs } from '../../lib/doctor/networks';
import { onlyProblems, printDiagnosis } from '../../lib/doctor/print';
import { reasonFor } from '../../lib/reasons';
import { address, healthyFacts, manyDevices, type Tree } from './doctor-hosts';

function treeOf(t: Test, tree: Tree): Files {
  return new Files(t.testdir(tree as Parameters<Test['testdir']>[0]));
}

/** The facts of a host with these files and addresses, and what can only be tried as it should be. */
function factsOf(files: Files, addresses: Record<string, string[]>): Facts {
  const devices = findDevices(files, '/lib');
  const netdevs = findNetdevs(files);
  const interfaces = Object.fromEntries(
    Object.entries(addresses).map(([netdev, all]) => [netdev, all.map((each) => address(each))]),
  );
  return {
    ...healthyFacts(),
    devices,
    netdevs,
    elsewhere: findDevicesElsewhere(files),
    addresses: findAddresses(interfaces, devices, netdevs),
    filter: undefined,
    trials: [],
  };
}

function checksOf(facts: Facts): Check[] {
  return diagnose(facts).sections.flatMap(({ checks }) => checks);
}

/** What is not as it should be. */
function troubleIn(facts: Facts): Check[] {
  return checksOf(facts).filter(({ state }) => state === 'problem' || state === 'warning');
}

t.test('a host with InfiniBand, RoCE over a bond, and iWARP is read as it is', (t) => {
  const files = treeOf(
    t,
    manyDevices((target) => t.fixture('symlink', target)),
  );
  const facts = factsOf(files, {
    lo: ['127.0.0.1'],
    ib0: ['10.1.0.1', 'fe80::e42:a1ff:fe79:a2b8'],
    bond0: ['192.0.2.10'],
    'bond0.100': ['2001:db8::7'],
    br0: ['192.0.2.99'],
    docker0: ['172.17.0.1'],
    ens9: ['10.9.0.1'],
    eno1: ['10.2.0.1'],
    tailscale0: ['100.64.0.1'],
  });
  t.match(facts.devices, [
    {
      name: 'mlx5_0',
      driver: 'mlx5_core',
      software: false,
      firmware: '20.35.1012',
      model: 'MT4123',
      uverbs: 'uverbs0',
      provider: { name: 'mlx5', file: '/lib/libibverbs/libmlx5-rdmav34.so', listed: true },
      ports: [{ state: 'INIT', linkLayer: 'InfiniBand', netdevs: ['ib0'] }],
    },
    { name: 'mlx5_bond_0', ports: [{ netdevs: ['bond0', 'bond0.100', 'enp1s0f0np0'] }] },
    { name: 'rocep9s0', nodeType: 'RNIC', provider: { name: 'irdma' } },
  ]);
  t.same(facts.elsewhere, ['mlx5_7']);
  t.same(
    facts.addresses.map(({ address, rdma }) => [
      address,
      rdma && `${rdma.device} ${rdma.gid?.index ?? '-'} ${rdma.gid?.type ?? '-'}`,
    ]),
    [
      ['127.0.0.1', undefined],
      ['10.1.0.1', 'mlx5_0 - -'],
      ['192.0.2.10', 'mlx5_bond_0 3 RoCE v2'],
      ['2001:db8::7', 'mlx5_bond_0 9 RoCE v2'],
      ['192.0.2.99', undefined],
      ['172.17.0.1', undefined],
      ['10.9.0.1', 'rocep9s0 - -'],
      ['10.2.0.1', undefined],
      ['100.64.0.1', undefined],
    ],
  );
  t.end();
});

t.test('with one port that works, what is wrong with the others is no problem', (t) => {
  const files = treeOf(
    t,
    manyDevices((target) => t.fixture('symlink', target)),
  );
  const facts = factsOf(files, {
    bond0: ['192.0.2.10'],
    br0: ['192.0.2.99'],
    docker0: ['172.17.0.1'],
    eno1: ['10.2.0.1'],
    tailscale0: ['100.64.0.1'],
  });
  t.match(troubleIn(facts), [
    { id: 'port', state: 'warning', text: /^mlx5_0\/1 is INIT/, fix: [/subnet manager.*opensm/] },
    { id: 'device', state: 'warning', text: /^rocep9s0 is iWARP/, fix: [/enable_roce/, /./] },
    {
      id: 'address',
      state: 'warning',
      text: /^192\.0\.2\.99 \(br0, bridge\)/,
      fix: [/dev bond0$/],
    },
    {
      id: 'address',
      state: 'warning',
      text: /^10\.2\.0\.1 \(eno1, Ethernet\)/,
      fix: [/192\.0/, /./],
    },
  ]);
  t.match(diagnose(facts).verdict, { usable: true, rdma: true, problems: 0, warnings: 4 });
  const without = { ...facts, devices: facts.devices.filter(({ name }) => name !== 'mlx5_bond_0') };
  const problems = troubleIn(without).filter(({ state }) => state === 'problem');
  t.same(
    problems.map(({ id, reason }) => [id, reason]),
    [
      ['port', 'no-device'],
      ['device', 'device-unsuitable'],
    ],
  );
  t.end();
});

t.test('a healthy host has nothing to heal', (t) => {
  const diagnosis = diagnose(healthyFacts());
  t.same(troubleIn(healthyFacts()), []);
  t.match(diagnosis.verdict, { usable: true, local: true, rdma: true, reasons: [] });
  t.match(diagnosis.verdict.text, / use RDMA to peers that can\.$/);
  t.end();
});

t.test('advice is for the distribution, the container and the user', (t) => {
  const facts = healthyFacts();
  const lost = { file: undefined, version: undefined, error: 'cannot open', lacking: [] };
  facts.libraries = facts.libraries.map(({ name }) => ({ name, ...lost }));
  const fixFor = (distribution: string[]): string =>
    troubleIn({ ...facts, system: { ...facts.system, distribution } })[0]?.fix?.[0] ?? '';
  t.equal(fixFor(['ubuntu', 'debian']).split(' ').slice(0, 3).join(' '), 'sudo apt-get install');
  t.equal(fixFor(['rocky', 'rhel', 'fedora']), 'sudo dnf install librdmacm libibverbs');
  t.match(fixFor(['gentoo']), /^install librdmacm/);

  const limited = { ...healthyFacts(), memoryLock: { soft: 65536, hard: 65536, exempt: false } };
  const system = { ...limited.system, container: 'docker' as const };
  t.match(troubleIn({ ...limited, system }), [
    { id: 'memory-lock', fix: ['docker run --ulimit memlock=-1:-1 ...'] },
  ]);
  t.match(troubleIn(limited), [
    { id: 'memory-lock', fix: [/^for logins.*'me - memlock/, /systemd/] },
  ]);
  t.end();
});

t.test('what follows from a problem is not a problem of its own', (t) => {
  const facts = healthyFacts();
  facts.modules = [{ name: 'rdma_ucm', state: 'not loaded' }];
  facts.files = facts.files.map((file) =>
    file.path.endsWith('rdma_cm') ? { ...file, error: 'ENOENT' } : file,
  );
  facts.opening = { reason: reasonFor('no-device') };
  t.same(
    troubleIn(facts).map(({ id }) => id),
    ['modules'],
  );
  // What nothing has explained is one.
  const unexplained = { ...healthyFacts(), opening: { reason: reasonFor('device-resources') } };
  t.match(troubleIn(unexplained), [{ id: 'opening', reason: 'device-resources' }]);
  t.end();
});

t.test('locked memory allows what the addon takes for a connection', (t) => {
  const sources = [
    'stream/receiver.h',
    'verbs/device.h',
    'verbs/budget.cc',
    'verbs/verbs_fabric.h',
  ];
  const root = path.join(__dirname, '..', '..', '..');
  const text = sources.map((file) => readFileSync(path.join(root, 'binding', file), 'utf8')).join();
  for (const line of [
    'own_bytes = size_t{8} * 1024;',
    'window_bytes = size_t{1024} * 1024;',
    'send_bytes = 256 * 1024;',
    'limit.rlim_cur - limit.rlim_cur / 4;',
    'pinned_bytes_max = uint64_t{256} << 20;',
  ]) {
    t.ok(text.includes(line), line);
  }
  const stateAt = (soft: number): string =>
    checksOf({ ...healthyFacts(), memoryLock: { soft, hard: soft, exempt: false } })
      .filter(({ id }) => id === 'memory-lock')
      .map(({ state, text }) => `${state} ${/\d+ idle/.exec(text)?.[0] ?? ''}`)
      .join();
  t.equal(stateAt(351 * 1024), 'problem ');
  t.equal(stateAt(352 * 1024), 'warning 1 idle');
  t.equal(stateAt(8 << 20), 'warning 736 idle');
  t.equal(stateAt(342 << 20), 'ok 32736 idle');
  t.equal(stateAt(Infinity), 'ok 32736 idle');
  t.end();
});

t.test('limits and capabilities are those of the kernel, not of a container', (t) => {
  const limits = 'Max locked memory         65536                8388608              bytes\n';
  const status = 'CapEff:\t0000000000004000\n';
  const memoryLockWith = (map: string): unknown =>
    findMemoryLock(treeOf(t, { proc: { self: { limits, status, uid_map: map } } }));
  t.same(memoryLockWith('         0          0 4294967295\n'), {
    soft: 65536,
    hard: 8388608,
    exempt: true,
  });
  t.match(memoryLockWith('         0     100000      65536\n'), { exempt: false });
  t.end();
});

t.test('rules against UDP 4791 are found in whatever way they are written', (t) => {
  const match = (right: unknown, protocol = 'udp', op = '=='): Record<string, unknown> => ({
    match: { op, left: { payload: { protocol, field: 'dport' } }, right },
  });
  const rulesOf = (expr: Record<string, unknown>[], policy = 'accept'): string[] =>
    rulesAgainstRoce([
      {},
      { chain: { family: 'inet', table: 'a', name: 'in', hook: 'input', policy } },
      { rule: { family: 'inet', table: 'a', chain: 'in', handle: 7, expr } },
    ]).map(({ verdict, command }) => `${verdict}: ${command}`);
  const deleted = 'nft delete rule inet a in handle 7';
  t.same(rulesOf([match(4791), { drop: null }]), [`drop: ${deleted}`]);
  t.same(rulesOf([match({ set: [53, 4791] }), { reject: {} }]), [`reject: ${deleted}`]);
  t.same(rulesOf([match({ set: [{ range: [4000, 5000] }] }, 'th'), { drop: null }]), [
    `drop: ${deleted}`,
  ]);
  t.same(rulesOf([match(4791, 'tcp'), { drop: null }]), []);
  t.same(rulesOf([match(53), { drop: null }]), []);
  t.same(rulesOf([match(4791, 'udp', '!='), { drop: null }]), []);
  t.same(rulesOf([match(4791), { accept: null }], 'drop'), []);
  t.same(rulesOf([match(53), { accept: null }], 'drop'), [
    'policy drop, and no rule that accepts it: nft insert rule inet a in udp dport 4791 accept',
  ]);
  t.end();
});

t.test('rules of iptables against UDP 4791 are found in what iptables-save printed', (t) => {
  // Recorded from iptables 1.8.9, but for the last table.
  const saved = `# Generated by iptables-save v1.8.9 on Mon Nov 23 14:34:31 2026
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT DROP [0:0]
-A INPUT -p udp -m udp --dport 4791 -j DROP
-A INPUT -p udp -m multiport --dports 53,4000:5000 -j REJECT --reject-with icmp-port-unreachable
-A INPUT -s 10.0.0.0/8 -p udp -m udp ! --dport 80 -m comment --comment "a -j b" -j DROP
-A INPUT -p tcp -m tcp --dport 4791 -j DROP
-A INPUT ! -p tcp -j DROP
-A INPUT -p udp -m udp --dport 4000:65535 -j DROP
COMMIT
# Completed on Mon Nov 23 14:34:31 2026
*raw
:OUTPUT DROP [0:0]
-A ours -p udp -m udp --dport 4791 -j ACCEPT
COMMIT
`;
  const found = savedRulesAgainstRoce(saved, 'iptables-legacy');
  t.same(
    found.map(({ chain, verdict }) => `${chain}: ${verdict}`),
    [
      ...['drop', 'reject', 'drop'].map((verdict) => `iptables-legacy filter INPUT: ${verdict}`),
      'iptables-legacy filter OUTPUT: policy drop, and no rule that accepts it',
    ],
  );
  t.same(
    found.map(({ command }) => command),
    [
      'iptables-legacy -D INPUT -p udp -m udp --dport 4791 -j DROP',
      'iptables-legacy -D INPUT -p udp -m multiport --dports 53,4000:5000 -j REJECT ' +
        '--reject-with icmp-port-unreachable',
      'iptables-legacy -D INPUT -p udp -m udp --dport 4000:65535 -j DROP',
      'iptables-legacy -I OUTPUT -p udp --dport 4791 -j ACCEPT',
    ],
  );
  t.end();
});

t.test('libraries are looked for where the loader looks, and looked into', (t) => {
  const functions = '\0rdma_create_event_channel\0rdma_init_qp_attr\0rdma_establish\0';
  const files = treeOf(t, {
    etc: { 'ld.so.cache': 'x\0librdmacm.so.1\0/opt/lib/librdmacm.so.1\0' },
    opt: {
      lib: {
        'librdmacm.so.1': t.fixture('symlink', 'librdmacm.so.1.3.50.0'),
        'librdmacm.so.1.3.50.0': functions,
      },
    },
    old: { 'librdmacm.so.1': '\0rdma_create_event_channel\0' },
  });
  const load = (name: string): string | undefined =>
    name.startsWith('libibverbs') ? 'no such file' : undefined;
  t.match(findLibraries(files, '', load), [
    { file: '/opt/lib/librdmacm.so.1', version: '1.3.50.0', error: undefined, lacking: [] },
    { file: undefined, error: 'no such file', lacking: [] },
  ]);
  t.match(findLibraries(files, '/none:/old', load), [
    { file: '/old/librdmacm.so.1', lacking: ['rdma_init_qp_attr', 'rdma_establish'] },
    {},
  ]);
  t.end();
});

t.test('an adapter without its RDMA module is seen where there is no device', (t) => {
  const driver = t.fixture('symlink', '../../../bus/pci/drivers/mlx5_core');
  const devices = { '0000:3b:00.0': { driver }, '0000:00:1f.0': {} };
  const files = treeOf(t, { sys: { bus: { pci: { devices } } } });
  const adapters = findAdapters(files);
  t.match(adapters, [{ address: '0000:3b:00.0', module: 'mlx5_ib' }]);
  const facts = { ...healthyFacts(), devices: [], files: [], addresses: [], trials: [], adapters };
  t.match(troubleIn(facts), [{ id: 'device', fix: ['sudo modprobe mlx5_ib'] }]);
  t.end();
});

t.test('an address is written as the GID that RoCE makes of it', (t) => {
  t.equal(gidOf('10.77.0.1'), showGid('0000:0000:0000:0000:0000:ffff:0a4d:0001'));
  t.equal(gidOf('fd77::1'), showGid('fd77:0000:0000:0000:0000:0000:0000:0001'));
  t.equal(gidOf('fe80::7%eth0'), showGid('fe80:0000:0000:0000:0000:0000:0000:0007'));
  t.not(gidOf('::1'), showGid('0000:0000:0000:0000:0000:0000:0000:0002'));
  t.end();
});

t.test('lines are broken between words, and those of remedies are not', (t) => {
  const facts = { ...healthyFacts(), memoryLock: { soft: 65536, hard: 65536, exempt: false } };
  const plain = (_tone: string, text: string): string => text;
  const all = printDiagnosis(diagnose(facts), 80, plain);
  const remedies = all.filter((line) => line.includes('Fix: '));
  t.equal(remedies.length, 2);
  t.ok(all.filter((line) => !line.includes('Fix: ')).every((line) => line.length <= 80));
  t.match(all.at(-1), /^1 problem, 0 warnings$/);
  const few = printDiagnosis(onlyProblems(diagnose(facts)), 80, plain);
  t.same(
    few.filter((line) => /^(ok|warn|FAIL|-) /.test(line)).map((line) => line.split(/\s+/, 2)),
    [['FAIL', 'memory-lock']],
  );
  const coloured = printDiagnosis(diagnose(facts), 80, (tone, text) => `<${tone}>${text}`);
  t.ok(coloured.some((line) => line.startsWith('<bad>FAIL  memory-lock')));
  t.end();
});

t.test('names of shared memory are taken if the server of the port has them not', (t) => {
  const process = (user: number, ...inodes: number[]): Tree => ({
    comm: 'node\n',
    status: `Name:\tnode\nUid:\t${user}\t${user}\t${user}\t${user}\n`,
    fd: Object.fromEntries(
      inodes.map((inode) => [inode, t.fixture('symlink', `socket:[${inode}]`)]),
    ),
  });
  const name = (inode: number, text: string, type = '0005', state = '01'): string =>
    `0: 00000002 00000000 00010000 ${type} ${state} ${inode} @${text}\n`;
  const tcp = (inode: number, port: number, state = '0A'): string =>
    ` 0: 0100007F:${port.toString(16).toUpperCase()} 0:0 ${state} 0:0 00:0 0 0 0 ${inode} 1\n`;
  const files = treeOf(t, {
    proc: {
      net: {
        unix: [
          'Num RefCount Protocol Flags Type St Inode Path\n',
          name(10, 'rdma-net/2/8000/any4') + name(11, 'rdma-net/2/8000/any4', '0002'),
          name(20, 'rdma-net/2/8001/127.0.0.1') + name(21, 'rdma-net/2/8001/::1', '0002'),
          name(30, 'rdma-net/2/8002/any4') + name(31, 'rdma-net/2/8003/any4'),
          name(32, 'rdma-net/2/8004/any4') + name(40, 'rdma-net/2/8005/any4/roll'),
          // Of a connection that a server which has ended had accepted.
          name(50, 'rdma-net/2/8006/any4', '0005', '03'),
          // Of another version, a stream, padded, and without anything to do with it.
          name(90, 'rdma-net/1/8000/any4') + name(91, 'rdma-net/2/8000/any4', '0001'),
          name(92, 'rdma-net/2/8000/any4@@@') + name(93, '/run/systemd/notify'),
        ].join(''),
        tcp: `head\n${tcp(12, 8000)}${tcp(22, 8001)}${tcp(33, 8002, '01')}${tcp(34, 8004)}`,
        tcp6: `head\n${tcp(41, 8005)}`,
      },
      1: process(1000, 10, 11, 12),
      2: process(1000, 22),
      3: process(65534, 20),
      4: process(1000, 31),
      // A cluster: the primary has the port, and a worker the names.
      5: process(1000, 41),
      6: process(1000, 40),
      self: {},
    },
  });
  const server = { pid: 2, program: 'node', userId: 1000 };
  const holder = { pid: 3, program: 'node', userId: 65534 };
  const takenNames = findTakenNames(files, 1000);
  t.same(takenNames, [
    { name: 'rdma-net/2/8001/127.0.0.1', port: 8001, holder, server },
    { name: 'rdma-net/2/8001/::1', port: 8001, holder: undefined, server },
    { name: 'rdma-net/2/8002/any4', port: 8002, holder: undefined, server: undefined },
  ]);
  t.match(troubleIn({ ...healthyFacts(), takenNames }), [
    {
      id: 'local-names',
      text: /8001.* of node \(process 2.*held by node \(process 3, user 65534\)/,
    },
    { id: 'local-names', text: /8002.* nobody .* cannot see/, fix: [/sudo ss .*\/8002\//] },
  ]);
  const [kill] = troubleIn({ ...healthyFacts(), takenNames })[0]?.fix ?? [];
  t.equal(kill, 'sudo kill 3');
  t.end();
});
