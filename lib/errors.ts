/** Errors as `net` makes them, with what RDMA said on `.cause`. */

import { constants as osConstants } from 'node:os';
import { getSystemErrorMap, getSystemErrorName } from 'node:util';
import { DetailKind } from './native';
import { Status } from './native-status';
import type { Reason } from './reasons';

const { errno } = osConstants;

/** libuv's end of file: the one status that is not an errno. */
export const UV_EOF = -4095;
export const UV_EADDRINUSE = -errno.EADDRINUSE;
export const UV_EALREADY = -errno.EALREADY;
export const UV_EBADF = -errno.EBADF;
export const UV_EINVAL = -errno.EINVAL;
export const UV_EISCONN = -errno.EISCONN;
export const UV_ECANCELED = -errno.ECANCELED;
export const UV_ENOTCONN = -errno.ENOTCONN;
export const UV_EPIPE = -errno.EPIPE;

const errnoByStatus: Partial<Record<Status, number>> = {
  [Status.InvalidArgument]: errno.EINVAL,
  [Status.NotConnected]: errno.ENOTCONN,
  [Status.OutOfMemory]: errno.ENOMEM,
  [Status.ConnectionRefused]: errno.ECONNREFUSED,
  [Status.ConnectionRejected]: errno.ECONNREFUSED,
  [Status.NoRoute]: errno.ENETUNREACH,
  [Status.HostUnreachable]: errno.EHOSTUNREACH,
  [Status.TimedOut]: errno.ETIMEDOUT,
  [Status.ConnectionReset]: errno.ECONNRESET,
  [Status.BrokenPipe]: errno.EPIPE,
  [Status.ProtocolViolation]: errno.EPROTO,
  [Status.IncompatiblePeer]: errno.EPROTO,
  [Status.RetriesExceeded]: errno.ETIMEDOUT,
  [Status.RemoteAccess]: errno.ECONNRESET,
  [Status.LocalError]: errno.ECONNABORTED,
  [Status.AddressInUse]: errno.EADDRINUSE,
  [Status.AddressNotAvailable]: errno.EADDRNOTAVAIL,
  [Status.Canceled]: errno.ECANCELED,
  [Status.PeerLimit]: errno.ECONNREFUSED,
  [Status.MemoryLockLimit]: errno.ENOMEM,
  [Status.PermissionDenied]: errno.EACCES,
  [Status.DeviceRemoved]: errno.ENETDOWN,
  [Status.DeviceResources]: errno.ENOBUFS,
  [Status.PinnedLimit]: errno.ENOMEM,
  [Status.QueuePairLimit]: errno.ENOBUFS,
};

/** libuv's (negative) number for a status; ENETUNREACH where there is no RDMA at all. */
export function uvErrnoOf(status: Status): number {
  return -(errnoByStatus[status] ?? errno.ENETUNREACH);
}

const statusNames = new Map<number, string>(
  Object.entries(Status).map(([name, status]) => [status, name]),
);

const detailWords: Record<DetailKind, (detail: number) => string> = {
  [DetailKind.None]: () => '',
  [DetailKind.Errno]: (detail) => getSystemErrorName(-detail),
  [DetailKind.CmStatus]: (detail) => `connection manager status ${detail}`,
  [DetailKind.CompletionStatus]: (detail) => `completion status ${detail}`,
  [DetailKind.Violation]: (detail) => `protocol violation ${detail}`,
};

/** What RDMA said: the `.cause` of an error, and the detail of a fallback. */
export class RdmaError extends Error {
  override readonly name = 'RdmaError';
  /** `ERR_RDMA_` and the status in capitals, as in `ERR_RDMA_CONNECTION_REFUSED`. */
  readonly code: string;

  /**
   * @param status number of what happened; below 100 it ended the operation, below 200 the
   *   connection, from 200 on all of RDMA
   * @param detail a number that belongs to it, of the kind that `detailKind` says; 0 for none
   * @param detailKind 0: none; 1: an errno; 2: status of an event of the connection manager; 3:
   *   status of a completion (`ibv_wc_status`); 4: what the peer did against the protocol
   */
  constructor(
    readonly status: Status,
    readonly detail = 0,
    readonly detailKind: DetailKind = DetailKind.None,
    note = '',
  ) {
    const name = statusNames.get(status) ?? `Status${status}`;
    const words = [detailWords[detailKind](detail), note].filter((word) => word !== '');
    super(words.length > 0 ? `${name} (${words.join('; ')})` : name);
    this.code = `ERR_RDMA${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
  }
}

/** The `.cause` where RDMA was required and not even tried. */
export class RdmaUnavailableError extends Error {
  override readonly name = 'RdmaUnavailableError';
  /** Always the same. */
  readonly code = 'ERR_RDMA_UNAVAILABLE';

  /** @param reason why not, as it would be recorded if the socket went to TCP */
  constructor(readonly reason: Reason) {
    const words = [reason.text, reason.detail, reason.fix].filter((word) => word !== '');
    super(words.join(' '));
  }
}

/** A mistake in the configuration. Always says what was found and what was expected. */
export class ConfigurationError extends TypeError {
  override readonly name = 'ConfigurationError';
  /** Always the same. */
  readonly code = 'ERR_RDMA_NET_CONFIGURATION';
}

/** An error like those of `net`, for a system call that failed at an address. */
export interface SystemError extends Error {
  code: string;
  errno: number;
  syscall: string;
  address?: string;
  port?: number;
}

/**
 * Makes the error that `net` would make.
 * @param uvErrno negative, as from libuv
 */
export function systemError(
  uvErrno: number,
  syscall: string,
  address: string,
  port: number,
  cause: Error,
): SystemError {
  const [code, text] = getSystemErrorMap().get(uvErrno) ?? ['UNKNOWN', 'unknown error'];
  const place = port > 0 ? `${address}:${port}` : address;
  const error = new Error(`${syscall} ${code}: ${text} ${place}`);
  return Object.assign(error, { code, errno: uvErrno, syscall, address, port, cause });
}

/** Gives an error that Node made the cause that we know, unless it has one. */
export function attachCause(error: unknown, cause: Error): void {
  if (!(error instanceof Error) || error.cause !== undefined) return;
  Object.defineProperty(error, 'cause', {
    value: cause,
    writable: true,
    enumerable: false,
    configurable: true,
  });
}

/** What an error of net tells of the peer. */
interface Peer {
  readonly address: string;
  readonly port: number;
}

/** With several addresses, net.js gives one error for all of them that holds one for each. */
export function attachCauses(error: unknown, peer: Peer, cause: Error): void {
  if (error instanceof AggregateError) {
    for (const one of error.errors as unknown[]) {
      if (isErrorOf(one, peer)) attachCause(one, cause);
    }
  } else attachCause(error, cause);
}

function isErrorOf(error: unknown, peer: Peer): boolean {
  const { address, port } = error as { address?: unknown; port?: unknown };
  return address === peer.address && port === peer.port;
}
