/** Which addresses, host names and ports a rule is about: `10.0.0.0/8:*`, `*.db.internal:5432`. */

import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net';
import { isLoopback, unmapped } from './address';

/** A place where a rule's text is wrong. Whoever knows where the text stands makes an error of it. */
export class Mistake extends Error {
  /**
   * @param offset where it is in the text that was looked at, from 0
   * @param found as it stands there; undefined where something is missing
   * @param expected what could stand there
   */
  constructor(
    readonly offset: number,
    readonly found: string | undefined,
    readonly expected: string,
  ) {
    super(`found ${found === undefined ? 'its end' : JSON.stringify(found)}; expected ${expected}`);
  }
}

/** What a socket connects to, or a server listens on. */
export interface PlainEndpoint {
  /** What the program asked for, if it was a name. */
  readonly name: string | undefined;
  /** Numeric, IPv4 or IPv6. */
  readonly address: string;
  readonly port: number;
}

/** The part of a rule that is about hosts. */
export interface HostPattern {
  /** Whether it is about names, which only clients have. */
  readonly isName: boolean;
  matches(endpoint: PlainEndpoint): boolean;
}

/** The part of a rule that is about ports: from the first to the last of them. */
export type PortPattern = readonly [first: number, last: number];

const PORT_MAX = 65_535;
const HOSTS =
  '"*", "localhost", an address such as 10.0.0.1 or [fd00::1], a network such as 10.0.0.0/8 or ' +
  '[fd00::]/8, or a name such as db.internal or *.internal';
const PORTS = 'a port from 1 to 65535, a range such as 8000-8999, or "*"';

const ANY_HOST: HostPattern = { isName: false, matches: () => true };
const LOCALHOST: HostPattern = {
  isName: false,
  matches: ({ name, address }) =>
    isLoopback(bare(address)) || (name !== undefined && /(^|\.)localhost\.?$/i.test(name)),
};
/** All ports. */
export const ANY_PORT: PortPattern = [0, PORT_MAX];

/** Makes a pattern in which `*` stands for any text, and with `?` for any character too. */
export function globPattern(glob: string, special: RegExp): RegExp {
  const source = glob
    .replace(/[\\^$.|+()[\]{}*?]/g, '\\$&')
    .replace(special, (word) => (word === '\\*' ? '.*' : '.'));
  return new RegExp(`^${source}$`, 'su');
}

/**
 * Parses a host: everything before the port.
 * @throws {Mistake}
 */
export function parseHost(text: string, offset = 0): HostPattern {
  if (text === '*') return ANY_HOST;
  const [host = '', prefix, ...rest] = text.split('/');
  const isBracketed = host.startsWith('[') && host.endsWith(']');
  const address = isBracketed ? host.slice(1, -1) : host;
  // Its zone belongs to the machine, and [fe80::]/10 means all of them.
  const isAddress = isBracketed ? isIPv6(address) : isIP(address) !== 0;
  if (isAddress && !address.includes('%') && rest.length === 0) {
    return network(address, prefix, offset + host.length + 1);
  }
  if (prefix !== undefined || isBracketed) throw new Mistake(offset, text, HOSTS);
  return nameOrLocalhost(text, offset);
}

function network(address: string, prefix: string | undefined, prefixOffset: number): HostPattern {
  const family = isIPv4(address) ? 'ipv4' : 'ipv6';
  const bitsMax = family === 'ipv4' ? 32 : 128;
  const bits = prefix === undefined ? bitsMax : Number(prefix);
  if (prefix !== undefined && (!/^\d{1,3}$/.test(prefix) || bits > bitsMax)) {
    throw new Mistake(prefixOffset, prefix, `a number of bits from 0 to ${bitsMax}`);
  }
  const list = new BlockList();
  // Everything of a family; what BlockList makes of 0 bits differs between versions of Node.
  if (bits === 0) return { isName: false, matches: (endpoint) => familyOf(endpoint) === family };
  list.addSubnet(address, bits, family);
  return {
    isName: false,
    matches: (endpoint) => list.check(bare(endpoint.address), familyOf(endpoint)),
  };
}

function bare(address: string): string {
  const zone = address.indexOf('%');
  return unmapped(zone < 0 ? address : address.slice(0, zone));
}

function familyOf({ address }: PlainEndpoint): 'ipv4' | 'ipv6' {
  return isIPv4(bare(address)) ? 'ipv4' : 'ipv6';
}

function nameOrLocalhost(text: string, offset: number): HostPattern {
  const name = text.toLowerCase().replace(/\.$/, '');
  if (name === 'localhost') return LOCALHOST;
  // What ends in a number is meant as an address, and matched none: 10.0.0.*, 10.0.0.256.
  const isLikeAddress = /(^|\.)(\d+|0x[\da-f]*)$/.test(name) || /^[\d.]+\*?$/.test(name);
  if (isLikeAddress || !/^[\p{L}\p{N}_*-]+(\.[\p{L}\p{N}_*-]+)*$/u.test(name)) {
    throw new Mistake(offset, text, HOSTS);
  }
  const pattern = globPattern(name, /\\\*/g);
  return {
    isName: true,
    matches: (endpoint) =>
      endpoint.name !== undefined && pattern.test(endpoint.name.toLowerCase().replace(/\.$/, '')),
  };
}

/**
 * Parses ports: `*`, `80`, `8000-8999`, `1024-*`.
 * @throws {Mistake}
 */
export function parsePorts(text: string, offset = 0): PortPattern {
  if (text === '*') return ANY_PORT;
  const match = /^(\d{1,5})(?:-(\d{1,5}|\*))?$/.exec(text);
  const first = Number(match?.[1] ?? 0);
  const last = match?.[2] === '*' ? PORT_MAX : Number(match?.[2] ?? first);
  if (match === null || first < 1 || last > PORT_MAX || first > last) {
    throw new Mistake(offset, text === '' ? undefined : text, PORTS);
  }
  return [first, last];
}

/**
 * Parses `HOST` or `HOST:PORTS`.
 * @throws {Mistake} with an offset into the text
 */
export function parseEndpoint(text: string): { host: HostPattern; ports: PortPattern } {
  const colon = text.indexOf(':', text.lastIndexOf(']') + 1);
  if (colon >= 0 && text.includes(':', colon + 1)) {
    throw new Mistake(0, text, 'IPv6 in brackets, such as [fd00::1]:80 or [fd00::]/8:*');
  }
  const host = colon < 0 ? text : text.slice(0, colon);
  return {
    host: parseHost(host),
    ports: colon < 0 ? ANY_PORT : parsePorts(text.slice(colon + 1), colon + 1),
  };
}
