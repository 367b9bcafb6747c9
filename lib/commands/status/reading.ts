/**
 * Reads what an endpoint says. Root asks the programs of all users: nothing of it is taken for what it
 * should be, and no text of it can do more to a terminal than be shown.
 */

import type { FabricTransportName, TransportName } from '../../mode';
import type {
  Address,
  ConnectionReport,
  EnvironmentReport,
  ProgramReport,
  ServerReport,
  ShortReason,
  TotalsReport,
} from '../../monitor/report';

/** What one endpoint has said. */
export type Answer = EnvironmentReport & ProgramReport;

/** A list of names, each of which stands for itself. */
type Names = Readonly<Record<string, unknown>>;

const TEXT_LENGTH_MAX = 4096;

function object(value: unknown): Names {
  return typeof value === 'object' && value !== null ? (value as Names) : {};
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string {
  const found = typeof value === 'string' ? value.slice(0, TEXT_LENGTH_MAX) : '';
  return found.replace(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, '?');
}

function count(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : 0;
}

function orNull<T>(value: unknown, read: (value: unknown) => T): T | null {
  return value === undefined || value === null ? null : read(value);
}

function transport(value: unknown): TransportName {
  return value === 'local' || value === 'rdma' ? value : 'tcp';
}

function address(value: unknown): Address {
  const { address, port } = object(value);
  return { address: text(address), port: count(port) };
}

// Codes of a later version are shown as they are.
function reason(value: unknown): ShortReason {
  const { code, detail } = object(value);
  return { code: text(code) as ShortReason['code'], detail: text(detail) };
}

function reasons(value: unknown): ServerReport['reasons'] {
  const { local, rdma } = object(value);
  const [ofLocal, ofRdma] = [orNull(local, reason), orNull(rdma, reason)];
  return { ...(ofLocal && { local: ofLocal }), ...(ofRdma && { rdma: ofRdma }) };
}

function server(value: unknown): ServerReport {
  const fields = object(value);
  return {
    ...address(value),
    transports: list(fields['transports']).map(transport),
    reasons: reasons(fields['reasons']),
    connections: count(fields['connections']),
  };
}

function direction(value: unknown): ConnectionReport['direction'] {
  return value === 'in' || value === 'out' ? value : null;
}

function peer(value: unknown): ConnectionReport['peer'] {
  return value === 'rdma-net' || value === 'rsockets' ? value : null;
}

function connection(value: unknown): ConnectionReport {
  const fields = object(value);
  return {
    id: text(fields['id']),
    transport: transport(fields['transport']),
    direction: direction(fields['direction']),
    local: orNull(fields['local'], address),
    remote: orNull(fields['remote'], address),
    device: orNull(fields['device'], text),
    peer: peer(fields['peer']),
    reason: orNull(fields['reason'], reason),
    bytesReceived: count(fields['bytesReceived']),
    bytesSent: count(fields['bytesSent']),
    bytesReceivedInPlace: orNull(fields['bytesReceivedInPlace'], count),
    bytesSentInPlace: orNull(fields['bytesSentInPlace'], count),
    creditStalls: orNull(fields['creditStalls'], count),
    ageSeconds: orNull(fields['ageSeconds'], count),
  };
}

function totals(value: unknown): TotalsReport {
  const fields = object(value);
  const { local, rdma, tcp } = object(fields['connections']);
  const fallbacks = Object.entries(object(fields['fallbacks']));
  return {
    connections: { local: count(local), rdma: count(rdma), tcp: count(tcp) },
    servers: count(fields['servers']),
    bytesReceived: count(fields['bytesReceived']),
    bytesSent: count(fields['bytesSent']),
    bytesReceivedInPlace: count(fields['bytesReceivedInPlace']),
    bytesSentInPlace: count(fields['bytesSentInPlace']),
    creditStalls: count(fields['creditStalls']),
    pinnedBytes: count(fields['pinnedBytes']),
    fallbacks: Object.fromEntries(fallbacks.map(([code, times]) => [text(code), count(times)])),
  };
}

function mode(value: unknown): ProgramReport['mode'] {
  return value === 'require' || value === 'off' ? value : 'prefer';
}

function isFabric(name: TransportName): name is FabricTransportName {
  return name !== 'tcp';
}

/** Puts the parts of an answer together. */
export class AnswerReader {
  #fields: Names = {};
  readonly #servers: ServerReport[] = [];
  readonly #connections: ConnectionReport[] = [];

  /**
   * @returns whether it was the last part
   * @throws SyntaxError when it is not JSON
   */
  read(line: string): boolean {
    const part = object(JSON.parse(line));
    this.#servers.push(...list(part['servers']).map(server));
    this.#connections.push(...list(part['connections']).map(connection));
    this.#fields = { ...this.#fields, ...part };
    return part['end'] === true;
  }

  get answer(): Answer {
    const fields = this.#fields;
    return {
      protocol: count(fields['protocol']),
      pid: count(fields['pid']),
      node: text(fields['node']),
      version: text(fields['version']),
      mode: mode(fields['mode']),
      transports: list(fields['transports']).map(transport).filter(isFabric),
      rules: count(fields['rules']),
      thread: count(fields['thread']),
      program: text(fields['program']),
      uptimeSeconds: count(fields['uptimeSeconds']),
      servers: this.#servers,
      connections: this.#connections,
      totals: totals(fields['totals']),
    };
  }
}
