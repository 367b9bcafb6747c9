/** {@link ConnectionInfo} of what the native side tells in numbers. */

import { InfoNumber, type Counters, type Transport } from './native';

/** What is known of one connection. What only RDMA has is missing on a local one. */
export interface ConnectionInfo {
  /** `shm` for shared memory. */
  device: string;
  /** Port of the device, from 1. */
  devicePort?: number;
  /** GID of this side, which over RoCE is made of its IP address. */
  localGid?: string;
  /** GID of the peer. */
  remoteGid?: string;
  /** Number of the queue pair here, as `rdma resource show qp` has it (`lqpn`). */
  queuePairNumber?: number;
  /** Number of the queue pair of the peer. */
  remoteQueuePairNumber?: number;
  /** Path MTU in bytes. */
  mtu?: number;
  /** `rdma-net` when the peer sent our extension block, else `rsockets`. */
  peer: 'rdma-net' | 'rsockets';
  /**
   * Negotiated features; empty with rsockets peers. `buffer-end`: a large write can be handed over
   * in place as soon as its last bytes are there.
   */
  features: string[];
  /** What has passed. */
  counters: Counters;
}

/**
 * What is known of a connection at one time. It costs next to nothing: every connection is looked at
 * when it is closed, and hardly one is asked about after that.
 */
export interface Inspection {
  readonly names: string;
  /** By {@link InfoNumber}. */
  readonly numbers: readonly number[];
}

const written = new Float64Array(Object.keys(InfoNumber).length);

// Array.from() and slice() take ten times as long.
function copy(): number[] {
  const numbers: number[] = [];
  for (let place = 0; place < written.length; place++) numbers.push(written[place] ?? 0);
  return numbers;
}

/** Looks at a connection; undefined when there is none of that id. */
export function inspect(transport: Transport, id: number): Inspection | undefined {
  const names = transport.inspect(id, written);
  return names === undefined ? undefined : { names, numbers: copy() };
}

/** Tells in words what was seen. */
export function describe({ names, numbers }: Inspection): ConnectionInfo {
  const at = (place: number): number => numbers[place] ?? 0;
  const [device = '', localGid, remoteGid] = names.split(' ');
  const devicePort = at(InfoNumber.DevicePort);
  const ofPort = {
    devicePort,
    localGid,
    remoteGid,
    queuePairNumber: at(InfoNumber.QueuePairNumber),
    remoteQueuePairNumber: at(InfoNumber.RemoteQueuePairNumber),
    mtu: at(InfoNumber.MtuBytes),
  };
  return {
    device,
    ...(devicePort === 0 ? undefined : ofPort),
    peer: at(InfoNumber.PeerHasExtension) === 1 ? 'rdma-net' : 'rsockets',
    features: at(InfoNumber.PeerEndsBuffers) === 1 ? ['buffer-end'] : [],
    counters: {
      bytesReceived: at(InfoNumber.BytesReceived),
      bytesSent: at(InfoNumber.BytesSent),
      bytesReceivedCopied: at(InfoNumber.BytesReceivedCopied),
      bytesReceivedInPlace: at(InfoNumber.BytesReceivedInPlace),
      bytesSentCopied: at(InfoNumber.BytesSentCopied),
      bytesSentInPlace: at(InfoNumber.BytesSentInPlace),
      messagesReceived: at(InfoNumber.MessagesReceived),
      messagesSent: at(InfoNumber.MessagesSent),
      workRequests: at(InfoNumber.WorkRequests),
      creditStalls: at(InfoNumber.CreditStalls),
    },
  };
}

/** What is known of an open connection now. */
export function connectionInfo(transport: Transport, id: number): ConnectionInfo | undefined {
  const inspection = inspect(transport, id);
  return inspection && describe(inspection);
}
