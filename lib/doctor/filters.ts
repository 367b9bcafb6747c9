/** Rules of a packet filter that keep RoCE out, or in. */

import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { promisify } from 'node:util';
import type { Files } from '../machine/files';
import type { FilterFacts, FilterRuleFacts } from './facts';
import { ROCE_PORT, savedRulesAgainstRoce } from './iptables';

/** It may have to load modules of the kernel. */
const TIMEOUT_MS = 5000;

interface Chain {
  family: string;
  table: string;
  name: string;
  hook?: string;
  policy?: string;
}

interface Rule {
  family: string;
  table: string;
  chain: string;
  handle: number;
  expr: Record<string, unknown>[];
}

interface Match {
  op?: string;
  left?: { payload?: { protocol?: string; field?: string } };
  right?: unknown;
}

type Ruleset = { chain?: Chain; rule?: Rule }[];

/** Where the kernel tells of tables of the older iptables; reading that loads no module. */
const OLDER_TABLES = [
  { names: '/proc/net/ip_tables_names', command: 'iptables-legacy' },
  { names: '/proc/net/ip6_tables_names', command: 'ip6tables-legacy' },
] as const;

async function outputOf(command: string, ...args: string[]): Promise<string> {
  const path = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;
  const options = { timeout: TIMEOUT_MS, maxBuffer: 64 << 20, env: { ...process.env, PATH: path } };
  return (await promisify(execFile)(command, args, options)).stdout;
}

/** Of nftables; or why they cannot be read. */
async function readNftables(): Promise<Ruleset | 'no nft' | 'nft failed'> {
  try {
    const stdout = await outputOf('nft', '--json', 'list', 'ruleset');
    return (JSON.parse(stdout) as { nftables: Ruleset }).nftables;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'no nft' : 'nft failed';
  }
}

/** Undefined where they cannot be read. */
async function readIptables(command: string): Promise<FilterRuleFacts[] | undefined> {
  try {
    return savedRulesAgainstRoce(await outputOf(`${command}-save`), command);
  } catch {
    return undefined;
  }
}

/**
 * Reads the rules of nftables, which iptables makes too nowadays, and those of the older iptables. Asks
 * the kernel whether a packet would leave. Only what runs in the kernel goes through its filters:
 * hardware has its own path.
 * @param address one of this host's that a software device has
 */
export async function findFilters(
  files: Files,
  address: string | undefined,
  asRoot: boolean,
): Promise<FilterFacts> {
  const sendRefused = address !== undefined && (await isSendRefused(address));
  if (!asRoot) return { seen: 'not root', unread: [], rules: [], sendRefused };
  const ruleset = await readNftables();
  const seen = typeof ruleset === 'string' ? ruleset : 'nftables';
  const all = typeof ruleset === 'string' ? [] : ruleset;
  const older = OLDER_TABLES.filter(({ names }) => (files.text(names) ?? '') !== '');
  const commands = [...older.map(({ command }) => command), ...commandsWithExtensions(all)];
  const saved = await Promise.all(commands.map(readIptables));
  const unread = commands.filter((_, at) => saved[at] === undefined);
  const read = commands.filter((command) => !unread.includes(command));
  const left = all.filter((one) => !read.includes(commandOf(one.chain ?? one.rule)));
  const rules = [...rulesAgainstRoce(left), ...saved.flatMap((some) => some ?? [])];
  return { seen, unread, rules, sendRefused };
}

/** The iptables whose table it is in, if it is one of theirs. */
function commandOf(one: Chain | Rule | undefined): string {
  const isTheirs = /^(filter|raw|mangle|security|nat)$/.test(one?.table ?? '');
  if (!isTheirs) return '';
  return { ip: 'iptables-nft', ip6: 'ip6tables-nft' }[one?.family ?? ''] ?? '';
}

/** Of those whose rules nft cannot show whole: they use what only iptables knows. */
function commandsWithExtensions(ruleset: Ruleset): string[] {
  const commands = ruleset.flatMap(({ rule }) =>
    rule?.expr.some((one) => Object.hasOwn(one, 'xt')) === true ? [commandOf(rule)] : [],
  );
  return [...new Set(commands)].filter((command) => command !== '');
}

/**
 * Whether the kernel refuses to send a packet to the port, as it does for a rule on what leaves. The
 * packet is empty, and goes to this host: nothing comes of it.
 */
function isSendRefused(address: string): Promise<boolean> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  return new Promise((resolve) => {
    const end = (refused: boolean): void => {
      socket.close();
      resolve(refused);
    };
    socket.once('error', () => end(false));
    socket.send(Buffer.alloc(0), ROCE_PORT, address, (error) => {
      end(error !== null && 'code' in error && error.code === 'EPERM');
    });
  });
}

/** What of the members of `nft --json list ruleset` drops or refuses RoCE. */
export function rulesAgainstRoce(nftables: Ruleset): FilterRuleFacts[] {
  const rules = nftables.flatMap(({ rule }) => (rule === undefined ? [] : [rule]));
  const chains = nftables.flatMap(({ chain }) => (chain === undefined ? [] : [chain]));
  const against = rules.filter((rule) => namesPort(rule) && verdictOf(rule) !== 'accept');
  return [
    ...against.flatMap((rule) => {
      const verdict = verdictOf(rule);
      if (verdict === undefined) return [];
      const chain = `${rule.family} ${rule.table} ${rule.chain}`;
      return [{ chain, verdict, command: `nft delete rule ${chain} handle ${rule.handle}` }];
    }),
    ...chains
      .filter((chain) => dropsUnlessAccepted(chain, rules))
      .map((chain) => {
        const name = `${chain.family} ${chain.table} ${chain.name}`;
        return {
          chain: name,
          verdict: 'policy drop, and no rule that accepts it',
          command: `nft insert rule ${name} udp dport ${ROCE_PORT} accept`,
        };
      }),
  ];
}

function dropsUnlessAccepted(chain: Chain, rules: readonly Rule[]): boolean {
  const concerns = chain.hook === 'input' || chain.hook === 'output';
  if (!concerns || chain.policy !== 'drop') return false;
  // A rule of any chain of the table may be reached from it.
  const own = rules.filter(({ family, table }) => family === chain.family && table === chain.table);
  return !own.some((rule) => namesPort(rule) && verdictOf(rule) === 'accept');
}

function verdictOf(rule: Rule): 'accept' | 'drop' | 'reject' | undefined {
  for (const verdict of ['accept', 'drop', 'reject'] as const) {
    if (rule.expr.some((one) => Object.hasOwn(one, verdict))) return verdict;
  }
  return undefined;
}

function namesPort(rule: Rule): boolean {
  return rule.expr.some((one) => {
    const match = one['match'] as Match | undefined;
    const payload = match?.left?.payload;
    const isPort = payload?.field === 'dport' && /^(udp|th)$/.test(payload.protocol ?? '');
    return isPort && match?.op !== '!=' && covers(match?.right);
  });
}

/** A number, a range, or a set of both. */
function covers(right: unknown): boolean {
  if (typeof right === 'number') return right === ROCE_PORT;
  if (typeof right !== 'object' || right === null) return false;
  const { set, range } = right as { set?: unknown[]; range?: [number, number] };
  if (range !== undefined) return range[0] <= ROCE_PORT && ROCE_PORT <= range[1];
  return set?.some(covers) ?? false;
}
