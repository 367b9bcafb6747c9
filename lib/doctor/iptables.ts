/** Rules of a packet filter as iptables tells them: the older ones, and those that nft cannot show. */

import type { FilterRuleFacts } from './facts';

/** RoCE version 2 comes in UDP packets to this port. */
export const ROCE_PORT = 4791;

type Target = 'accept' | 'drop' | 'reject';

interface Rule {
  chain: string;
  /** All of it, from the chain on. */
  text: string;
  target: Target;
}

/** `4791`, `4000:5000`, and lists of them. */
function covers(ports: string): boolean {
  return ports.split(',').some((part) => {
    const [first, last = first] = part.split(':').map(Number);
    return first !== undefined && last !== undefined && first <= ROCE_PORT && ROCE_PORT <= last;
  });
}

function isForRoce(text: string): boolean {
  const [, not, ports] = /(! )?--(?:dports?|ports) (\S+)/.exec(text) ?? [];
  return / -p udp\b/.test(text) && not === undefined && ports !== undefined && covers(ports);
}

function rulesOf(line: string): Rule[] {
  const [, chain = '', target = ''] = /^-A (\S+) .*-j (ACCEPT|DROP|REJECT)\b/.exec(line) ?? [];
  if (!isForRoce(line)) return [];
  return [{ chain, text: line.slice('-A '.length), target: target.toLowerCase() as Target }];
}

/**
 * What drops or refuses RoCE.
 * @param saved what `iptables-save` prints
 * @param command of which iptables that is, and what changes it
 */
export function savedRulesAgainstRoce(saved: string, command: string): FilterRuleFacts[] {
  return saved.split(/^\*/m).flatMap((part) => {
    const [table = '', ...lines] = part.split('\n');
    const rules = lines.flatMap(rulesOf);
    const inTable = table === 'filter' ? command : `${command} -t ${table}`;
    const against = rules.filter(({ target }) => target !== 'accept');
    // A rule of any chain of the table may be reached from these two.
    const isAccepted = rules.some(({ target }) => target === 'accept');
    const closed = isAccepted ? [] : [...part.matchAll(/^:(INPUT|OUTPUT) DROP\b/gm)];
    return [
      ...against.map(({ chain, text, target }) => ({
        chain: `${command} ${table} ${chain}`,
        verdict: target,
        command: `${inTable} -D ${text}`,
      })),
      ...closed.map(([, chain = '']) => ({
        chain: `${command} ${table} ${chain}`,
        verdict: 'policy drop, and no rule that accepts it',
        command: `${inTable} -I ${chain} -p udp --dport ${ROCE_PORT} -j ACCEPT`,
      })),
    ];
  });
}
