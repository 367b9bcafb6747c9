/** What `rdma-net status` prints for people. */

import path from 'node:path';
import type { Address, TotalsReport } from '../../monitor/report';
import { reasons } from '../../reasons';
import { showTarget } from '../options';
import { columns, type Painter } from '../terminal';
import type { ProgramStatus } from './programs';
import { rowsOf, sortRows, type ConnectionRow, type Rates, type SortKey } from './rates';
import { showBytes, showSeconds, showShare } from './units';

/** What is shown, and how. */
export interface View {
  readonly paint: Painter;
  /** Connections that are listed at most. */
  readonly top: number;
  readonly sort: SortKey;
  /** What was told before; undefined when it is told once only. */
  readonly rates: Rates | undefined;
  readonly nowMs: number;
}

/** A table with a line of heads; numbers stand on the right. */
class Table {
  readonly #heads: readonly string[];
  readonly #onRight: ReadonlySet<number>;
  readonly #rows: string[][] = [];

  /** @param heads those that end in '>' are of numbers */
  constructor(heads: readonly string[]) {
    this.#heads = heads.map((head) => head.replace('>', ''));
    this.#onRight = new Set(heads.flatMap((head, at) => (head.endsWith('>') ? [at] : [])));
  }

  add(...cells: string[]): void {
    this.#rows.push(cells);
  }

  lines(paint: Painter): string[] {
    const all = [this.#heads, ...this.#rows];
    const widths = this.#heads.map((_, at) =>
      Math.max(...all.map((row) => (row[at] ?? '').length)),
    );
    const aligned = all.map((row) =>
      row.map((cell, at) => (this.#onRight.has(at) ? cell.padStart(widths[at] ?? 0) : cell)),
    );
    const [first = '', ...rest] = columns(aligned).map((line) => line.trimEnd());
    return [paint('faint', first), ...rest];
  }
}

const SILENT =
  'Its event loop is busy, or it has been stopped, or has another version of rdma-net.';

/** The script with the folder that it is in: many are called index.js. */
function shortName(program: string | null): string {
  if (program === null) return '(does not answer)';
  if (!program.includes('/')) return program;
  return path.join(path.basename(path.dirname(program)), path.basename(program));
}

function inPlaceOf(totals: TotalsReport): string {
  const { bytesReceived, bytesSent, bytesReceivedInPlace, bytesSentInPlace } = totals;
  return showShare(bytesReceivedInPlace + bytesSentInPlace, bytesReceived + bytesSent);
}

function cellsOf(totals: TotalsReport): string[] {
  const { connections, servers, bytesReceived, bytesSent, creditStalls, pinnedBytes } = totals;
  return [
    ...[connections.local, connections.rdma, connections.tcp, servers].map(String),
    showBytes(bytesReceived),
    showBytes(bytesSent),
    inPlaceOf(totals),
    String(creditStalls),
    showBytes(pinnedBytes),
  ];
}

function rateCells(key: string, totals: TotalsReport, { rates, nowMs }: View): string[] {
  if (rates === undefined) return [];
  const rate = rates.of(key, totals, nowMs);
  return rate === undefined ? ['-', '-'] : [showBytes(rate.received), showBytes(rate.sent)];
}

/** One line for each program, and one for all. */
export function showAll(
  programs: readonly ProgramStatus[],
  sums: TotalsReport,
  view: View,
): string[] {
  if (programs.length === 0) return ['No program uses rdma-net now that this user may ask.'];
  const hasUsers = new Set(programs.map(({ user }) => user)).size > 1;
  const rateHeads = view.rates === undefined ? [] : ['IN/s>', 'OUT/s>'];
  const table = new Table([
    'PID>',
    ...(hasUsers ? ['USER>'] : []),
    ...['PROGRAM', 'NODE', 'MODE', 'LOCAL>', 'RDMA>', 'TCP>', 'SERVERS>', 'RECEIVED>', 'SENT>'],
    ...['IN PLACE>', 'STALLS>', 'PINNED>', ...rateHeads],
  ]);
  for (const { pid, user, program, node, mode, totals, environments } of programs) {
    const who = [String(pid), ...(hasUsers ? [String(user)] : [])];
    const about = [shortName(program), node ?? '', mode ?? ''];
    const known = [...cellsOf(totals), ...rateCells(String(pid), totals, view)];
    table.add(...who, ...about, ...(environments.length === 0 ? known.map(() => '-') : known));
  }
  const sum = ['', ...(hasUsers ? [''] : []), `${programs.length} in total`, '', ''];
  table.add(...sum, ...cellsOf(sums), ...rateCells('all', sums, view));
  return table.lines(view.paint);
}

function showAddress(place: Address | null): string {
  return place === null ? '-' : showTarget(place.address, place.port);
}

function showThread(thread: number): string {
  return thread === 0 ? 'main' : `worker ${thread}`;
}

function serverLines({ environments }: ProgramStatus, paint: Painter): string[] {
  const hasThreads = environments.length > 1;
  const thread = hasThreads ? ['THREAD'] : [];
  const table = new Table([...thread, 'ADDRESS', 'TRANSPORTS', 'CONNECTIONS>', 'NOT OVER']);
  let count = 0;
  for (const { thread, servers = [] } of environments) {
    for (const server of servers) {
      count++;
      const missing = Object.entries(server.reasons).map(([name, { code }]) => `${name}: ${code}`);
      table.add(
        ...(hasThreads ? [showThread(thread)] : []),
        showAddress(server),
        server.transports.join(', '),
        String(server.connections),
        missing.join(', '),
      );
    }
  }
  return count === 0 ? [] : ['', paint('strong', 'Servers'), ...table.lines(paint)];
}

function showCount(count: number | null): string {
  return count === null ? '-' : String(count);
}

function showReason({ connection: { reason } }: ConnectionRow): string {
  if (reason === null) return '';
  return reason.detail === '' ? reason.code : `${reason.code} (${reason.detail})`;
}

function addConnection(table: Table, row: ConnectionRow, hasThreads: boolean, view: View): void {
  const { connection, rate, thread } = row;
  const { bytesReceived, bytesSent, bytesReceivedInPlace, bytesSentInPlace } = connection;
  const inPlace =
    bytesReceivedInPlace === null ? null : bytesReceivedInPlace + (bytesSentInPlace ?? 0);
  const { ageSeconds } = connection;
  table.add(
    ...(hasThreads ? [showThread(thread)] : []),
    connection.transport,
    connection.direction ?? '-',
    showAddress(connection.local),
    showAddress(connection.remote),
    connection.peer ?? '-',
    connection.device ?? '-',
    showBytes(bytesReceived),
    showBytes(bytesSent),
    ...(view.rates === undefined
      ? []
      : rate === undefined
        ? ['-', '-']
        : [showBytes(rate.received), showBytes(rate.sent)]),
    inPlace === null ? '-' : showShare(inPlace, bytesReceived + bytesSent),
    showCount(connection.creditStalls),
    ageSeconds === null ? '-' : showSeconds(ageSeconds),
    showReason(row),
  );
}

function connectionLines(program: ProgramStatus, rows: ConnectionRow[], view: View): string[] {
  const { local, rdma, tcp } = program.totals.connections;
  const { paint, sort, top } = view;
  const title = `Connections: ${local} local, ${rdma} rdma, ${tcp} tcp`;
  if (rows.length === 0) return ['', paint('strong', title)];
  const hasThreads = program.environments.length > 1;
  const table = new Table([
    ...(hasThreads ? ['THREAD'] : []),
    ...['OVER', 'DIR', 'HERE', 'PEER', 'RUNS', 'DEVICE', 'RECEIVED>', 'SENT>'],
    ...(view.rates === undefined ? [] : ['IN/s>', 'OUT/s>']),
    ...['IN PLACE>', 'STALLS>', 'AGE>', 'REASON FOR TCP'],
  ]);
  const shown = sortRows(rows, sort).slice(0, top);
  for (const row of shown) addConnection(table, row, hasThreads, view);
  const hidden = rows.length - shown.length;
  const more = hidden > 0 ? [paint('faint', `and ${hidden} more; see --top`)] : [];
  return ['', paint('strong', `${title}; by ${sort}`), ...table.lines(paint), ...more];
}

/** Sockets that are on TCP are often closed when somebody looks: the sums tell of them. */
function fallbackLines({ fallbacks }: TotalsReport, paint: Painter): string[] {
  const counts = Object.entries(fallbacks).sort(([, a], [, b]) => b - a);
  if (counts.length === 0) return [];
  const table = new Table(['TIMES>', 'REASON', 'MEANING']);
  for (const [code, times] of counts) {
    // One of a later version is not known here.
    const known = Object.hasOwn(reasons, code) ? reasons[code as keyof typeof reasons] : undefined;
    table.add(String(times), code, known === undefined ? '' : `${known.text} ${known.fix}`);
  }
  return ['', paint('strong', 'Sockets and servers that went to TCP'), ...table.lines(paint)];
}

/** All that is known of one program. */
export function showOne(program: ProgramStatus, view: View): string[] {
  const { paint } = view;
  const { pid, user, node, version, mode, transports, rules, uptimeSeconds, totals } = program;
  const head = paint('strong', `${pid}  ${program.program ?? '(does not answer)'}`);
  if (program.environments.length === 0) return [head, SILENT];
  const silent = paint('warning', 'Some of its threads do not answer; they are missing here.');
  const about = [
    `rdma-net ${version ?? ''}`,
    `Node ${node ?? ''}`,
    `mode ${mode ?? ''} (${transports.join(', ')}${rules > 0 ? `; rules: ${rules}` : ''})`,
    `user ${user}`,
    `running for ${showSeconds(uptimeSeconds ?? 0)}`,
  ];
  const sums = [
    `${showBytes(totals.bytesReceived)} received`,
    `${showBytes(totals.bytesSent)} sent`,
    `${inPlaceOf(totals)} of it in place`,
    `${totals.creditStalls} stalls`,
    `${showBytes(totals.pinnedBytes)} pinned now`,
  ];
  // Rates need all of them, however few are shown.
  const { rates, nowMs } = view;
  const rows = rowsOf(program, rates, nowMs);
  return [
    head,
    about.join(', '),
    ...(program.answers ? [] : [silent]),
    `Over shared memory and RDMA since its start: ${sums.join(', ')}`,
    ...serverLines(program, paint),
    ...connectionLines(program, rows, view),
    ...fallbackLines(totals, paint),
  ];
}
