/** Rules of a packet filter that keep RoCE out, or in. */

import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { promisify } from 'node:util';
import type { FilterFacts, FilterRuleFacts } from './facts';

/** RoCE version 2 comes in UDP packets to this port. */
const ROCE_PORT = 4791;
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

/**
 * Reads the rules of nftables, which iptables has too nowadays, and asks the kernel whether a packet
 * would leave. Only what runs in the kernel goes through its filters: hardware has its own path.
 * @param address one of this host's that a software device has
 */
export async function findFilters(
  address: string | undefined,
  asRoot: boolean,
): Promise<FilterFacts> {
  const sendRefused = address !== undefined && (await isSendRefused(address));
  if (!asRoot) return { seen: 'not root', rules: [], sendRefused };
  try {
    const { stdout } = await promisify(execFile)('nft', ['--json', 'list', 'ruleset'], {
      timeout: TIMEOUT_MS,
      maxBuffer: 64 << 20,
      env: {
        ...process.env,
        PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`,
      },
    });
    return { seen: 'nftables', rules: rulesAgainstRoce(stdout), sendRefused };
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    return { seen: isMissing ? 'no nft' : 'nft failed', rules: [], sendRefused };
  }
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

/** What of `nft --json list ruleset` drops or refuses RoCE. */
export function rulesAgainstRoce(json: string): FilterRuleFacts[] {
  const { nftables } = JSON.parse(json) as { nftables: { chain?: Chain; rule?: Rule }[] };
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
