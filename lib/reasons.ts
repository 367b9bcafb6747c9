/**
 * Why a socket or server is on TCP, or lacks one of the other transports: the closed list. Programs
 * may compare codes; a code never changes its meaning, and new ones are only added in minor versions.
 */

import { Status } from './native-status';

/** One entry of the list: what happened, and what would change it. */
export interface ReasonEntry {
  /** One sentence, without what is particular to this socket. */
  readonly text: string;
  /** What to do to get RDMA or shared memory; '' where TCP is the right transport. */
  readonly fix: string;
}

/** The closed list of why sockets and servers go to TCP, by {@link ReasonCode}. */
export const reasons = {
  'mode-off': {
    text: 'RDMA is switched off.',
    fix: "Unset RDMA_NET, or set it to 'prefer' or 'require'.",
  },
  platform: { text: 'RDMA is available on Linux only.', fix: '' },
  'permission-model': {
    text: "Node's permission model refuses native addons or internal bindings.",
    fix: 'Start node without --permission and --experimental-permission.',
  },
  'node-internals': {
    text: 'This version of Node differs from what rdma-net knows.',
    fix: 'Use a version of Node that this version of rdma-net supports.',
  },
  'addon-missing': {
    text: 'The native addon of rdma-net cannot be loaded.',
    fix: 'Install rdma-net again with its install script enabled, or run `npm rebuild rdma-net`.',
  },
  'not-built': {
    text: 'The native addon was built without RDMA.',
    fix: 'Install the headers of rdma-core (libibverbs-dev, librdmacm-dev) and rebuild rdma-net.',
  },
  'library-missing': {
    text: 'librdmacm.so.1 or libibverbs.so.1 cannot be loaded.',
    fix: 'Install librdmacm1, libibverbs1 and ibverbs-providers (rdma-core).',
  },
  'library-too-old': {
    text: 'librdmacm or libibverbs lacks a function that is needed.',
    fix: 'Install a newer rdma-core.',
  },
  'no-device': {
    text: 'There is no RDMA device here.',
    fix: 'Check `rdma link`; software RDMA: `rdma link add rxe0 type rxe netdev eth0`.',
  },
  'permission-denied': {
    text: 'The RDMA devices may not be opened.',
    fix: 'Give the process access to /dev/infiniband.',
  },
  'memory-lock-limit': {
    text: 'RLIMIT_MEMLOCK does not allow to register memory.',
    fix: 'Raise it: `ulimit -l unlimited`, LimitMEMLOCK=infinity, or --ulimit memlock=-1.',
  },
  'device-removed': { text: 'The RDMA device went away.', fix: 'Check `rdma link`.' },
  'device-resources': {
    text: 'The RDMA device cannot give what another connection needs.',
    fix: 'Use fewer connections, or raise the limits of the device.',
  },
  'pinned-limit': {
    text: 'Another connection would exceed the limit of pinned memory.',
    fix: 'Raise RDMA_NET_PINNED_BYTES_MAX, or use fewer connections.',
  },
  'queue-pair-limit': {
    text: 'Another connection would exceed the limit of RDMA connections.',
    fix: 'Raise RDMA_NET_QUEUE_PAIRS_MAX, or use fewer connections.',
  },
  'device-unsuitable': {
    text: 'The RDMA device is of an unsupported kind: iWARP, or without shared receive queues.',
    fix: '',
  },
  'out-of-memory': { text: 'There was no memory for an RDMA connection.', fix: '' },
  loopback: { text: 'No RDMA device owns a loopback address.', fix: "Use the host's own address." },
  'no-route': {
    text: 'No RDMA device here routes to the address.',
    fix: 'Check `rdma link` and `ip route get ADDRESS`.',
  },
  'peer-refused': {
    text: 'Nobody listens on RDMA at that address and port.',
    fix: 'Run the server with rdma-net too.',
  },
  'peer-rejected': { text: 'The peer rejected the RDMA connection.', fix: '' },
  'peer-unreachable': {
    text: 'The peer cannot be reached over RDMA.',
    fix: 'Check that the peer has an RDMA device on this network.',
  },
  'peer-silent': {
    text: 'TCP connected before the peer answered over RDMA.',
    fix: 'Raise RDMA_NET_HEAD_START_MS if the peer does have RDMA.',
  },
  'still-opening': {
    text: 'TCP connected while RDMA libraries and devices were being opened.',
    fix: 'Raise RDMA_NET_HEAD_START_MS; later connections find them open.',
  },
  'tcp-first': {
    text: 'RDMA answered, but TCP had connected already.',
    fix: 'Raise RDMA_NET_HEAD_START_MS.',
  },
  'peer-timeout': { text: 'The peer did not answer over RDMA in time.', fix: '' },
  'peer-incompatible': {
    text: 'The peer speaks RDMA, but not rsockets version 1.',
    fix: '',
  },
  'connection-failed': { text: 'The RDMA connection failed while it was made.', fix: '' },
  'address-in-use': {
    text: 'Another program listens on RDMA at that address and port.',
    fix: 'Stop it, or use another port.',
  },
  'address-not-available': { text: 'No RDMA device has that address.', fix: '' },
  'bound-socket': {
    text: 'The socket was bound before connecting, in a way that RDMA cannot follow.',
    fix: 'Use the options localAddress and localPort.',
  },
  'tls-while-connecting': {
    text: 'TLS was put over the socket while it was connecting.',
    fix: "Wait for 'connect' before tls.connect({ socket }).",
  },
  'rdma-off': {
    text: 'RDMA is not among the transports that may be used.',
    fix: "Add 'rdma' to RDMA_NET_TRANSPORTS, or to the rule that matches.",
  },
  'local-off': {
    text: 'Shared memory is not among the transports that may be used.',
    fix: "Add 'local' to RDMA_NET_TRANSPORTS, or to the rule that matches.",
  },
  'rule-tcp': { text: 'A rule sends it to TCP.', fix: 'Change the rule.' },
  'rule-tls': {
    text: 'A rule wants TLS, and the socket or server has none.',
    fix: 'Use TLS from the start, or change the rule.',
  },
  'local-unavailable': { text: 'Shared memory between programs cannot be used here.', fix: '' },
  'local-refused': {
    text: 'Nobody with rdma-net listens on this host at that address and port.',
    fix: 'Run the server with rdma-net too.',
  },
  'local-user': {
    text: 'The server on this host belongs to another user.',
    fix: 'Run client and server as the same user.',
  },
  'local-slow': {
    text: 'TCP connected before the server on this host answered over shared memory.',
    fix: 'Raise RDMA_NET_HEAD_START_MS.',
  },
  'local-limit': {
    text: 'The server on this host is at a limit of its memory or of its connections.',
    fix: 'Raise RDMA_NET_PINNED_BYTES_MAX or RDMA_NET_QUEUE_PAIRS_MAX of the server.',
  },
  'local-in-use': {
    text: 'Another program holds that address and port for shared memory on this host.',
    fix: 'Stop it, or use another port.',
  },
  'local-failed': {
    text: 'A connection or listener over shared memory on this host failed while it was made.',
    fix: '',
  },
  'not-tcp': { text: 'Pipes and Unix-domain sockets do not use RDMA.', fix: '' },
  'listen-handle': {
    text: 'The server listens on a handle or file descriptor that was given to it.',
    fix: 'Listen on a port.',
  },
  'cluster-worker': {
    text: 'The workers of a cluster cannot share an RDMA listener.',
    fix: 'Listen with exclusive: true on a port for each worker.',
  },
  'handle-passing': {
    text: 'The server, or sockets of it, may be passed to another process.',
    fix: 'Create the server without pauseOnConnect, and send neither it nor its sockets.',
  },
  'ipv6-only': { text: 'An RDMA listener on :: cannot be limited to IPv6.', fix: '' },
} as const satisfies Record<string, ReasonEntry>;

/** A code of the closed list. */
export type ReasonCode = keyof typeof reasons;

/** Why a certain socket or server is on TCP. */
export interface Reason extends ReasonEntry {
  /** Its key in {@link reasons}. */
  readonly code: ReasonCode;
  /** What is particular to this socket: an error's text, or that the outcome was remembered. */
  readonly detail: string;
}

const plain = new Map<ReasonCode, Reason>();

/** The reason with this code; those without detail are shared objects. */
export function reasonFor(code: ReasonCode, detail = ''): Reason {
  if (detail !== '') return Object.freeze({ code, ...reasons[code], detail });
  let reason = plain.get(code);
  if (reason === undefined) {
    reason = Object.freeze({ code, ...reasons[code], detail });
    plain.set(code, reason);
  }
  return reason;
}

const codeByStatus: Partial<Record<Status, ReasonCode>> = {
  [Status.OutOfMemory]: 'out-of-memory',
  [Status.ConnectionRefused]: 'peer-refused',
  [Status.ConnectionRejected]: 'peer-rejected',
  [Status.NoRoute]: 'no-route',
  [Status.HostUnreachable]: 'peer-unreachable',
  [Status.TimedOut]: 'peer-timeout',
  [Status.IncompatiblePeer]: 'peer-incompatible',
  [Status.RetriesExceeded]: 'peer-timeout',
  [Status.AddressInUse]: 'address-in-use',
  [Status.AddressNotAvailable]: 'address-not-available',
  [Status.LibraryMissing]: 'library-missing',
  [Status.LibraryTooOld]: 'library-too-old',
  [Status.NoDevice]: 'no-device',
  [Status.MemoryLockLimit]: 'memory-lock-limit',
  [Status.PermissionDenied]: 'permission-denied',
  [Status.DeviceRemoved]: 'device-removed',
  [Status.DeviceResources]: 'device-resources',
  [Status.DeviceUnsuitable]: 'device-unsuitable',
  [Status.NotBuilt]: 'not-built',
  [Status.PinnedLimit]: 'pinned-limit',
  [Status.QueuePairLimit]: 'queue-pair-limit',
};

/** The code for what the native side returned; `connection-failed` for what breaks mid-way. */
export function reasonCodeOf(status: Status): ReasonCode {
  return codeByStatus[status] ?? 'connection-failed';
}

const localCodeByStatus: Partial<Record<Status, ReasonCode>> = {
  [Status.ConnectionRefused]: 'local-refused',
  [Status.ConnectionRejected]: 'local-user',
  [Status.PermissionDenied]: 'local-user',
  [Status.PeerLimit]: 'local-limit',
  [Status.AddressInUse]: 'local-in-use',
  [Status.PinnedLimit]: 'pinned-limit',
  [Status.QueuePairLimit]: 'queue-pair-limit',
};

/** As {@link reasonCodeOf} for the transport over shared memory. */
export function localReasonCodeOf(status: Status): ReasonCode {
  return localCodeByStatus[status] ?? 'local-failed';
}
