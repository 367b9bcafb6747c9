/** The matrix as a table, of whatever cells there are. */

import { consumers, transports } from './consumers';
import type { Cell } from './runner';

const byNumber = (a: number, b: number): number => a - b;

/** Versions of Node on which the same came out, and what. */
function groupsOf(cells: readonly Cell[]): Map<string, number[]> {
  const groups = new Map<string, number[]>();
  for (const { verdict, detail, node } of cells) {
    const text = detail.replaceAll(/\s+/g, ' ').replaceAll('|', '\\|');
    const outcome = {
      works: 'works',
      tcp: `works, on TCP: \`${text}\``,
      absent: `cannot be run: ${text}`,
      fails: `**fails**: ${text}`,
    }[verdict];
    groups.set(outcome, [...(groups.get(outcome) ?? []), node]);
  }
  return groups;
}

function cellText(cells: readonly Cell[], all: readonly number[]): string {
  const groups = groupsOf(cells);
  const missing = all.filter((major) => !cells.some(({ node }) => node === major));
  if (missing.length > 0) groups.set('not run', missing);
  const parts = [...groups].map(
    ([outcome, nodes]) => `${nodes.sort(byNumber).join(', ')}: ${outcome}`,
  );
  return parts.join('; ');
}

/** Rows for the consumers, columns for the transports; each cell tells of all versions of Node. */
export function tableOf(cells: readonly Cell[]): string {
  const names = consumers.map(({ name }) => name);
  const others = cells.map(({ consumer }) => consumer).filter((name) => !names.includes(name));
  const majors = [...new Set(cells.map(({ node }) => node))];
  const rows = [...names, ...new Set(others)].map((name) => {
    const columns = transports.map((transport) =>
      cellText(
        cells.filter((cell) => cell.consumer === name && cell.transport === transport),
        majors,
      ),
    );
    return `| ${[name, ...columns].join(' | ')} |`;
  });
  const head = ['Consumer', ...transports];
  const rule = head.map(() => '---');
  return [`| ${head.join(' | ')} |`, `| ${rule.join(' | ')} |`, ...rows].join('\n');
}

/** The same as a page of the docs. */
export function pageOf(cells: readonly Cell[], versions: readonly string[]): string {
  const count = (verdict: Cell['verdict']): number =>
    cells.filter((cell) => cell.verdict === verdict).length;
  return `# What works on rdma-net, unmodified

This page is written by \`npm run matrix -- --markdown docs/consumers.md\`, and every cell comes from a
run: a server and a client in two processes under the preload, which exchange bytes that are compared,
and whose sockets then tell on which transport they were. A cell counts as \`works\` if every socket,
on both sides, was on the transport of its column.

- **tcp**: the preload is there and finds no RDMA, so that sockets fall back.
- **local**: shared memory between two processes of one host.
- **rdma**: the kernel's software RDMA in the guest of the lab.

The numbers in the cells are the major versions of Node: ${versions.join(', ')}.
Of ${cells.length} cells ${count('works')} work, ${count('tcp')} work with sockets on TCP for the reason given
([the list of reasons](transports.md#reasons-for-tcp)), ${count('absent')} cannot be run, and ${count('fails')} fail.

${tableOf(cells)}

Servers that are no Node programs are Debian's own, Redis, PostgreSQL and MariaDB: under \`tcp\` the
client talks to them, under \`local\` and \`rdma\` to a relay in Node, which passes the bytes on. Debian
has no MongoDB; there a [stand-in](../test/consumers/programs/mongodb.js) answers in its protocol, from
memory. [test/consumers/programs](../test/consumers/programs) has what each consumer does.
`;
}
