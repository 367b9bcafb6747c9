/** What can be wrong on a host, each made for real in the lab's guest, and healed again. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { root, run, withLockedMemory } from './program';

/** A fault, and what doctor has to find: all of that, and nothing else. */
export interface Fault {
  /** What is wrong. */
  title: string;
  /** Much like another one, and so for the page on doctor only: each takes seconds in emulation. */
  pageOnly?: true;
  /** Lines for the shell that make it, and that undo it. */
  make?: string[];
  heal?: string[];
  /** A command to run doctor under, options of node, and variables. */
  wrapper?: string[];
  flags?: string[];
  environment?: Record<string, string>;
  /** The ids of all problems and warnings. */
  found: string[];
  /** In the output, with one blank for all blanks: the remedy. */
  says: RegExp;
  /** The exit status. */
  status: number;
}

const ADDRESSES = ['10.77.0.1/24', 'fd77::1/64 nodad'];
const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
const oldLibraries = '/tmp/old-libraries';
const addon = path.join(root, 'build', 'Release', 'rdma_net.node');
const permission = process.allowedNodeEnvironmentFlags.has('--permission')
  ? '--permission'
  : '--experimental-permission';

/** The folder of librdmacm and libibverbs. */
function libraryFolder(): string {
  const folders = readdirSync('/usr/lib')
    .filter((name) => name.endsWith('-linux-gnu'))
    .map((name) => path.join('/usr/lib', name));
  const found = folders.find((folder) => existsSync(path.join(folder, 'librdmacm.so.1')));
  if (found === undefined) throw new Error('librdmacm.so.1 is in no folder of /usr/lib');
  return found;
}

function pluginFile(): string {
  const folder = path.join(libraryFolder(), 'libibverbs');
  const name = readdirSync(folder).find((each) => each.startsWith('librxe-'));
  if (name === undefined) throw new Error(`${folder} has no plug-in for rxe`);
  return path.join(folder, name);
}

/** Out of the way, and back. The guest's root is a layer over the host's: there nothing moves. */
function without(file: string): Required<Pick<Fault, 'make' | 'heal'>> {
  return { make: [`mv ${file} ${file}.away`], heal: [`mv ${file}.away ${file}`] };
}

/** A packet filter with one chain and one rule in it. */
function filter(chain: string, rule: string): Required<Pick<Fault, 'make' | 'heal'>> {
  const hook = `{ type filter hook ${chain} priority 0; }`;
  return {
    make: [
      'nft add table inet firewall',
      `nft add chain inet firewall ${chain} '${hook}'`,
      `nft add rule inet firewall ${chain} ${rule}`,
    ],
    heal: ['nft delete table inet firewall'],
  };
}

/** What the guest sees of the host that is not so in it, and what an ordinary user must read. */
export async function prepareGuest(): Promise<void> {
  await run('rm', ['-f', '/.dockerenv', '/run/.containerenv']);
  // The first has the kernel load modules, which takes long here.
  await run('nft', ['list', 'ruleset']);
  for (const file of [path.join(root, 'package.json'), process.execPath]) {
    for (let folder = path.dirname(file); folder !== '/'; folder = path.dirname(folder)) {
      chmodSync(folder, statSync(folder).mode | 0o055);
    }
  }
  // Of an older version, as far as the names of its functions go.
  mkdirSync(oldLibraries);
  const library = readFileSync(path.join(libraryFolder(), 'librdmacm.so.1'), 'latin1');
  const older = library.replaceAll('rdma_establish', 'rdma_establi--');
  writeFileSync(path.join(oldLibraries, 'librdmacm.so.1'), older, 'latin1');
}

/** Takes the names of a port before a server does. Perl is on all systems of Debian. */
const SQUATTER = [
  'for $type (SOCK_SEQPACKET, SOCK_DGRAM) { socket($type, AF_UNIX, $type, 0)',
  'bind($type, pack_sockaddr_un("\\0rdma-net/2/7471/any4")) } sleep',
].join('; ');

/** In an order in which none leaves anything for the next. */
export function faults(): Fault[] {
  return [
    ...programFaults(),
    ...libraryFaults(),
    ...hostFaults(),
    ...deviceFaults(),
    ...networkFaults(),
  ];
}

function programFaults(): Fault[] {
  return [
    {
      title: 'RDMA is switched off',
      environment: { RDMA_NET: 'off' },
      found: ['mode'],
      says: /Fix: unset RDMA_NET/,
      status: 1,
    },
    {
      title: 'A rule has a mistake',
      environment: { RDMA_NET_RULES: 'connect *:5432 rmda' },
      found: [],
      says: /^rdma-net: RDMA_NET_RULES, line 1, column 16: found "rmda"; expected /,
      status: 2,
    },
    {
      title: "Node's permission model is in force",
      flags: [permission, '--allow-fs-read=*'],
      found: ['permission-model'],
      says: /Fix: start node without --permission/,
      status: 1,
    },
    {
      title: 'Another user has taken the names of a port for shared memory',
      pageOnly: true,
      make: [
        `${asNobody.join(' ')} perl -MSocket -e '${SQUATTER}' > /dev/null 2>&1 & echo $! > /tmp/squatter`,
        'until grep -q rdma-net/2/7471/ /proc/net/unix; do sleep 0.1; done',
      ],
      heal: ['kill $(cat /tmp/squatter)'],
      found: ['local-names'],
      says: /port 7471 for shared memory, at which nobody listens,.*user 65534.*Fix: kill \d+ Fix:/,
      status: 0,
    },
    {
      title: 'The addon has not been built',
      ...without(addon),
      found: ['addon'],
      says: /Fix: npm rebuild rdma-net/,
      status: 1,
    },
    {
      title: 'The addon is damaged',
      pageOnly: true,
      make: [`mv ${addon} ${addon}.away`, `echo damaged > ${addon}`],
      heal: [`mv ${addon}.away ${addon}`],
      found: ['addon'],
      says: /Fix: the file is damaged, or for another system: npm rebuild rdma-net/,
      status: 1,
    },
  ];
}

function libraryFaults(): Fault[] {
  return [
    {
      title: 'librdmacm is not installed',
      ...without(path.join(libraryFolder(), 'librdmacm.so.1')),
      found: ['library'],
      says: /Fix: apt-get install librdmacm1 libibverbs1 ibverbs-providers/,
      status: 1,
    },
    {
      title: 'librdmacm is too old',
      environment: { LD_LIBRARY_PATH: oldLibraries },
      found: ['library'],
      says: /rdma_establish.*Fix: take its folder out of LD_LIBRARY_PATH/,
      status: 1,
    },
    {
      title: 'The plug-in of libibverbs for the device is missing',
      ...without(pluginFile()),
      found: ['provider'],
      says: /librxe-rdmav.*Fix: apt-get install --reinstall ibverbs-providers/,
      status: 1,
    },
    {
      title: 'libibverbs is not told of the plug-in for the device',
      pageOnly: true,
      make: ['mv /etc/libibverbs.d/rxe.driver /tmp'],
      heal: ['mv /tmp/rxe.driver /etc/libibverbs.d'],
      found: ['provider'],
      says: /"driver rxe".*Fix: apt-get install --reinstall ibverbs-providers/,
      status: 1,
    },
  ];
}

function hostFaults(): Fault[] {
  return [
    {
      title: 'The module rdma_ucm is not loaded',
      make: ['modprobe -r rdma_ucm'],
      heal: ['modprobe rdma_ucm'],
      found: ['modules'],
      says: /Fix: modprobe rdma_ucm Fix: /,
      status: 1,
    },
    {
      title: 'There are devices, but no /dev/infiniband, as in a container without it',
      wrapper: ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs none /dev/infiniband; exec "$@"', '-'],
      found: ['device-files'],
      says: /Fix: .*docker run --device \/dev\/infiniband/,
      status: 1,
    },
    {
      title: 'An ordinary user may not open the files of /dev/infiniband',
      make: ['chmod 600 /dev/infiniband/rdma_cm /dev/infiniband/uverbs0'],
      heal: ['chmod 666 /dev/infiniband/rdma_cm /dev/infiniband/uverbs0'],
      wrapper: asNobody,
      found: ['device-files'],
      says: /Fix: sudo chmod 666 \/dev\/infiniband\/rdma_cm \/dev\/infiniband\/uverbs0/,
      status: 1,
    },
    {
      title: 'The files of /dev/infiniband are for a group',
      pageOnly: true,
      make: [
        'chgrp kvm /dev/infiniband/rdma_cm /dev/infiniband/uverbs0',
        'chmod 660 /dev/infiniband/rdma_cm /dev/infiniband/uverbs0',
      ],
      heal: [
        'chgrp root /dev/infiniband/rdma_cm /dev/infiniband/uverbs0',
        'chmod 666 /dev/infiniband/rdma_cm /dev/infiniband/uverbs0',
      ],
      wrapper: asNobody,
      found: ['device-files'],
      says: /Fix: sudo usermod -aG kvm nobody, and log in again/,
      status: 1,
    },
    {
      title: 'Too little memory may be locked for any connection',
      wrapper: withLockedMemory(64 << 10),
      found: ['memory-lock'],
      says: /Fix: for a service of systemd, in its unit: \[Service\] LimitMEMLOCK=infinity/,
      status: 1,
    },
    {
      title: 'Memory may be locked for a few connections only',
      wrapper: withLockedMemory(8 << 20),
      found: ['memory-lock'],
      says: /8 MiB.*about 736 idle connections, or 4 that stream.*Fix: for logins/,
      status: 0,
    },
  ];
}

function deviceFaults(): Fault[] {
  return [
    {
      title: 'There is no device',
      make: ['rdma link delete rxe0'],
      heal: ['rdma link add rxe0 type rxe netdev veth0'],
      found: ['device'],
      says: /Fix: or RDMA in software.*: rdma link add rxe0 type rxe netdev/,
      status: 1,
    },
    {
      title: 'The network device under the RDMA device is down',
      make: ['ip link set veth0 down'],
      heal: ['ip link set veth0 up', `ip address add ${ADDRESSES[1] ?? ''} dev veth0`],
      found: ['port'],
      says: /Fix: ip link set veth0 up Reason/,
      status: 1,
    },
    {
      title: 'The network device under the RDMA device has no carrier',
      pageOnly: true,
      make: ['ip link set veth1 down'],
      heal: ['ip link set veth1 up'],
      found: ['port'],
      says: /Fix: veth0 has no carrier: check the cable/,
      status: 1,
    },
    {
      title: 'The RDMA device has no IP address',
      make: ['ip address flush dev veth0'],
      heal: ADDRESSES.map((address) => `ip address add ${address} dev veth0`),
      found: ['gid'],
      says: /Fix: ip address add ADDRESS\/PREFIX dev veth0 Reason/,
      status: 1,
    },
    {
      title: 'The MTU is small',
      make: ['ip link set veth0 mtu 600'],
      heal: ['ip link set veth0 mtu 4200', `ip address add ${ADDRESSES[1] ?? ''} dev veth0`],
      found: ['mtu'],
      says: /an MTU of only 256 bytes.*Fix: ip link set veth0 mtu 4200,/,
      status: 0,
    },
  ];
}

function networkFaults(): Fault[] {
  const namespace = {
    make: ['ip netns add elsewhere', 'ip -n elsewhere link set lo up'],
    heal: ['ip netns delete elsewhere'],
    wrapper: ['ip', 'netns', 'exec', 'elsewhere'],
  };
  // The kernel takes its time to remove the last namespace, and refuses to change until then.
  const setMode = (mode: string): string =>
    `for i in $(seq 100); do rdma system set netns ${mode} 2>/dev/null && exit; sleep 0.05; done; false`;
  return [
    {
      title: 'The packet filter drops what comes to UDP port 4791',
      ...filter('input', 'udp dport 4791 drop'),
      found: ['udp-4791'],
      says: /Fix: nft delete rule inet firewall input handle \d+ Reason/,
      status: 1,
    },
    {
      title: 'A rule of the older iptables refuses what comes to UDP port 4791',
      make: ['iptables-legacy -A INPUT -p udp --dport 4791 -j REJECT'],
      heal: ['iptables-legacy -F INPUT'],
      found: ['udp-4791'],
      says: /Fix: iptables-legacy -D INPUT -p udp -m udp --dport 4791 -j REJECT --reject-with \S+ Reason/,
      status: 1,
    },
    {
      title: 'The packet filter drops what leaves, and an ordinary user cannot see its rules',
      ...filter('output', 'udp dport 4791 drop'),
      wrapper: asNobody,
      found: ['udp-4791'],
      says: /Fix: find the rule: sudo nft -a list ruleset/,
      status: 1,
    },
    {
      title: 'An address is on a network device without RDMA',
      make: [
        'ip link add plain0 type veth peer name plain1',
        'ip link set plain1 up',
        'ip link set plain0 up',
        'ip address add 10.88.0.1/24 dev plain0',
      ],
      heal: ['ip link delete plain0'],
      found: ['address'],
      says: /10\.88\.0\.1 \(plain0, Ethernet\).*Fix: connect to addresses of the network of 10\.77\.0\.1/,
      status: 0,
    },
    {
      title: 'The network device under the RDMA device is in another network namespace',
      ...namespace,
      found: ['namespace'],
      says: /Fix: run the program in that namespace/,
      status: 1,
    },
    {
      title: 'The RDMA device belongs to another network namespace',
      ...namespace,
      make: [setMode('exclusive'), ...namespace.make],
      heal: [...namespace.heal, setMode('shared')],
      found: ['namespace'],
      says: /Fix: .*rdma dev set rxe0 netns NAME/,
      status: 1,
    },
  ];
}
