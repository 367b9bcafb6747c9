/** What the user has asked for: the environment, and `configure()`. */

import { readFileSync } from 'node:fs';
import { ConfigurationError } from './errors';
import type { Rule } from './rule';
import type { RulesInput } from './rule-object';

/**
 * `prefer`: shared memory or RDMA where it can be had, else TCP. `require`: one of these, or an
 * error. `off`: plain net.
 */
export type Mode = 'prefer' | 'require' | 'off';

/** What a connection runs on. */
export type TransportName = 'local' | 'rdma' | 'tcp';

/** The transports besides TCP, in the order in which they are tried. */
export const FABRIC_TRANSPORTS = ['local', 'rdma'] as const satisfies TransportName[];
/** `local`: shared memory, with programs on the same host. `rdma`: RDMA devices. */
export type FabricTransportName = (typeof FABRIC_TRANSPORTS)[number];

/** What can be set with {@link configure}; it holds for sockets and servers made later. */
export interface Settings {
  /** Default `prefer`; environment: RDMA_NET. */
  mode: Mode;
  /**
   * Which transports may be used besides TCP, at least one; default both. They are always tried in
   * the order `local`, `rdma`. Environment: RDMA_NET_TRANSPORTS, separated by commas.
   */
  transports: readonly FabricTransportName[];
  /**
   * What holds for certain peers, ports and programs in the place of `mode` and `transports`: the
   * first rule that matches. Text with a rule a line, or a list of such text and of objects; default
   * none. Environment: RDMA_NET_RULES, and after these the rules of the file RDMA_NET_CONFIG.
   */
  rules: RulesInput;
  /**
   * How long a transport is tried alone before TCP is tried beside it, in milliseconds, 0 to
   * 60,000; default 50. Environment: RDMA_NET_HEAD_START_MS.
   */
  headStartMs: number;
  /**
   * How long a peer without RDMA is remembered, in milliseconds, 0 (not at all) to 86,400,000;
   * default 60,000. Environment: RDMA_NET_PEER_MEMORY_MS.
   */
  peerMemoryMs: number;
  /** How many peers without RDMA are remembered, 1 to 1,000,000; default 4,096. */
  peerMemoryCount: number;
  /**
   * Bytes of receive memory that a connection has at most, while its peer streams, 64 KiB to 64 MiB;
   * default 1 MiB. Only before the first use.
   */
  receiveBufferBytes: number | undefined;
  /**
   * Bytes of send memory that a busy connection has, 4 KiB to 64 MiB; default 256 KiB. Only before the
   * first use.
   */
  sendBufferBytes: number | undefined;
  /**
   * Bytes of registered (pinned) memory that this environment has at most, 1 MiB to 1 PiB; default
   * 256 MiB, or three quarters of `ulimit -l`. Past it new connections go to TCP, and bytes are copied
   * that could be used in place. Half of it may be memory of the program. If it is set, shared memory
   * that peers can write to has the same limit. Only before the first use. Environment: RDMA_NET_PINNED_BYTES_MAX.
   */
  pinnedBytesMax: number | undefined;
  /**
   * Connections that this environment has at most over each transport, 1 to 2^31 - 1; past it new ones
   * go to TCP. Default: what the device allows. Only before the first use. Environment: RDMA_NET_QUEUE_PAIRS_MAX.
   */
  queuePairsMax: number | undefined;
  /**
   * How long to look for news before sleeping, in microseconds, 0 to 1000; default 0. It makes
   * answers come sooner and costs processor time. Only before the first use. Environment:
   * RDMA_NET_SPIN_US.
   */
  spinMicroseconds: number;
  /**
   * Whether `rdma-net status` can ask this program what its sockets do; default `on`. Only before the
   * first use. Environment: RDMA_NET_STATUS.
   */
  status: 'on' | 'off';
}

const MODES: readonly string[] = ['prefer', 'require', 'off'] satisfies Mode[];

const RANGES = {
  headStartMs: [0, 60_000],
  peerMemoryMs: [0, 86_400_000],
  peerMemoryCount: [1, 1_000_000],
  receiveBufferBytes: [64 * 1024, 64 * 1024 * 1024],
  sendBufferBytes: [4096, 64 * 1024 * 1024],
  pinnedBytesMax: [1024 * 1024, 2 ** 50],
  queuePairsMax: [1, 0x7fff_ffff],
  spinMicroseconds: [0, 1000],
} as const satisfies Partial<Record<keyof Settings, readonly [number, number]>>;

/** The settings when they have been checked. */
export interface SettingsInForce extends Omit<Settings, 'rules'> {
  rules: readonly Rule[];
}

/** The settings in force. */
export const settings: SettingsInForce = {
  mode: 'prefer',
  transports: FABRIC_TRANSPORTS,
  rules: [],
  headStartMs: 50,
  peerMemoryMs: 60_000,
  peerMemoryCount: 4096,
  receiveBufferBytes: undefined,
  sendBufferBytes: undefined,
  pinnedBytesMax: undefined,
  queuePairsMax: undefined,
  spinMicroseconds: 0,
  status: 'on',
};

/** How often the settings have been changed. */
export let settingsVersion = 0;

/** What a transport is made with. */
export const TRANSPORT_SETTINGS = [
  'receiveBufferBytes',
  'sendBufferBytes',
  'pinnedBytesMax',
  'queuePairsMax',
  'spinMicroseconds',
] as const satisfies readonly (keyof Settings)[];

const takenOver = new Map<string, unknown>();

/** From now on these cannot change: what they are about has been made. */
export function takeOver(keys: readonly (keyof Settings)[]): void {
  for (const key of keys) takenOver.set(key, settings[key]);
}

function show(value: unknown): string {
  return typeof value === 'string' || Array.isArray(value) ? JSON.stringify(value) : String(value);
}

function checkInTime(key: string, value: unknown): void {
  const taken = takenOver.get(key);
  if (!takenOver.has(key) || taken === value) return;
  const expected = taken === undefined ? 'its default' : show(taken);
  throw new ConfigurationError(
    `${key} is ${show(value)}; expected ${expected}, which was taken over at the first use: ` +
      'set it before any socket connects or listens',
  );
}

function checkMode(name: string, value: unknown): Mode {
  if (typeof value === 'string' && MODES.includes(value)) return value as Mode;
  throw new ConfigurationError(`${name} is ${show(value)}; expected "prefer", "require" or "off"`);
}

function checkStatus(name: string, value: unknown): Settings['status'] {
  if (value === 'on' || value === 'off') return value;
  throw new ConfigurationError(`${name} is ${show(value)}; expected "on" or "off"`);
}

function checkTransports(name: string, value: unknown, found = value): FabricTransportName[] {
  const known: readonly unknown[] = FABRIC_TRANSPORTS;
  if (Array.isArray(value) && value.length > 0 && value.every((item) => known.includes(item))) {
    return FABRIC_TRANSPORTS.filter((transport) => value.includes(transport));
  }
  throw new ConfigurationError(`${name} is ${show(found)}; expected a list of "local" and "rdma"`);
}

function checkNumber(name: string, value: unknown, range: readonly [number, number]): number {
  const [min, max] = range;
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) {
    return value;
  }
  throw new ConfigurationError(
    `${name} is ${show(value)}; expected a whole number from ${min} to ${max}`,
  );
}

type RuleModule = typeof import('./rule-object');

// Loaded late: most programs have no rules.
function checkRules(name: string, value: unknown): readonly Rule[] {
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  return (require('./rule-object') as RuleModule).checkRules(name, value);
}

function isNumberKey(key: string): key is keyof typeof RANGES {
  return Object.hasOwn(RANGES, key);
}

/**
 * Changes settings for sockets and servers made from now on.
 * @throws {ConfigurationError} naming what was found and what was expected; nothing is changed then
 */
export function changeSettings(changes: Partial<Settings>): void {
  const given: unknown = changes;
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new ConfigurationError(
      `configure() is given ${show(given)}; expected an object such as { mode: 'prefer' }`,
    );
  }
  const checked: Partial<SettingsInForce> = {};
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined) continue;
    if (key === 'mode') checked.mode = checkMode(key, value);
    else if (key === 'transports') checked.transports = checkTransports(key, value);
    else if (key === 'status') checked.status = checkStatus(key, value);
    else if (key === 'rules') checked.rules = checkRules(key, value);
    else if (isNumberKey(key)) checked[key] = checkNumber(key, value, RANGES[key]);
    else {
      const known = Object.keys(settings).join(', ');
      throw new ConfigurationError(`${show(key)} is not a setting; expected one of ${known}`);
    }
    checkInTime(key, value);
  }
  Object.assign(settings, checked);
  settingsVersion++;
}

/** Those of the settings that are numbers and that the environment has. */
const NUMBERS = [
  ['RDMA_NET_HEAD_START_MS', 'headStartMs'],
  ['RDMA_NET_PEER_MEMORY_MS', 'peerMemoryMs'],
  ['RDMA_NET_PINNED_BYTES_MAX', 'pinnedBytesMax'],
  ['RDMA_NET_QUEUE_PAIRS_MAX', 'queuePairsMax'],
  ['RDMA_NET_SPIN_US', 'spinMicroseconds'],
] as const;

/** The variables that {@link readEnvironment} looks at. */
export const VARIABLES: readonly string[] = [
  'RDMA_NET',
  'RDMA_NET_CONFIG',
  'RDMA_NET_RULES',
  'RDMA_NET_STATUS',
  'RDMA_NET_TRANSPORTS',
  ...NUMBERS.map(([name]) => name),
];

function readNumber(environment: NodeJS.ProcessEnv, name: string, key: keyof typeof RANGES): void {
  const text = environment[name];
  if (text === undefined || text === '') return;
  const value = /^\d+$/.test(text) ? Number(text) : text;
  settings[key] = checkNumber(name, value, RANGES[key]);
}

function readTransports(environment: NodeJS.ProcessEnv): void {
  const name = 'RDMA_NET_TRANSPORTS';
  const text = environment[name];
  if (text === undefined || text === '') return;
  const value = text.split(',').map((item) => item.trim());
  settings.transports = checkTransports(name, value, text);
}

/**
 * The rules of a file.
 * @param name what named the file, for errors
 * @throws {ConfigurationError} when it cannot be read, or has a mistake
 */
export function readRuleFile(name: string, file: string): readonly Rule[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const { message } = error as Error;
    throw new ConfigurationError(
      `${name} is ${show(file)}; expected the name of a file with rules (${message})`,
    );
  }
  return checkRules(file, text);
}

// Those of the variable come first: whoever starts a program can decide before the file does.
function readRules(environment: NodeJS.ProcessEnv): void {
  const { RDMA_NET_RULES: text = '', RDMA_NET_CONFIG: file = '' } = environment;
  if (text === '' && file === '') return;
  const own = text === '' ? [] : checkRules('RDMA_NET_RULES', text);
  const shared = file === '' ? [] : readRuleFile('RDMA_NET_CONFIG', file);
  settings.rules = [...own, ...shared];
}

/**
 * Takes the settings of the environment.
 * @throws {ConfigurationError} naming the variable, what was found and what was expected
 */
export function readEnvironment(environment: NodeJS.ProcessEnv): void {
  const mode = environment['RDMA_NET'];
  if (mode !== undefined && mode !== '') settings.mode = checkMode('RDMA_NET', mode);
  const status = environment['RDMA_NET_STATUS'];
  if (status !== undefined && status !== '') {
    settings.status = checkStatus('RDMA_NET_STATUS', status);
  }
  readTransports(environment);
  readRules(environment);
  for (const [name, key] of NUMBERS) readNumber(environment, name, key);
}
