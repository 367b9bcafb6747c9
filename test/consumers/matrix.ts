/**
 * Prints what works: consumer x version of Node x transport, each from a run.
 *
 *     npm run matrix -- [--nodes 20,22,24,26] [--transports tcp,local,rdma] [--only TEXT]
 *                       [--guest-seconds N] [--json FILE] [--markdown FILE]
 *
 * With --json, cells that the file has already and that are not run now are kept. All of `rdma` is
 * one boot of the lab's guest, for so many seconds at most.
 */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Writable } from 'node:stream';
import { parseArgs } from 'node:util';
import { format, resolveConfig } from 'prettier';
import type { TransportName } from '../../lib/mode';
import { execute } from '../lab/execute';
import { runInLab } from '../lab/lab';
import { runCells, type CellsOptions } from './cells';
import { transports } from './consumers';
import type { Cell } from './runner';
import { nodeOf, setUpConsumers } from './setup';
import { pageOf, tableOf } from './table';

const TIMEOUT_MS = 20_000;
/** In the guest, where everything may take 25 times as long. */
const GUEST_TIMEOUT_MS = 150_000;
const GUEST_SECONDS = '3000';

const report = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

function show(cell: Cell): void {
  const { consumer, node, transport, verdict, detail } = cell;
  report(`Node ${node}, ${transport}: ${consumer}: ${verdict} ${detail}`);
}

/** The same in the lab's guest: it writes the cells as lines. */
async function runInGuest(
  options: CellsOptions,
  timeoutSeconds: number,
  onCell: (cell: Cell) => void,
): Promise<void> {
  let text = '';
  const stdout = new Writable({
    write(chunk: Buffer, _encoding, done) {
      const lines = (text + chunk.toString()).split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) onCell(JSON.parse(line) as Cell);
      done();
    },
  });
  const { status } = await runInLab({
    command: process.execPath,
    args: [path.join(__dirname, 'cells.js'), JSON.stringify(options)],
    cpus: 2,
    memoryMebibytes: 4096,
    timeoutSeconds,
    stdout,
  });
  if (status !== 0) report(`the guest ended with status ${status}: the cells are not complete`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      nodes: { type: 'string', default: '20,22,24,26' },
      transports: { type: 'string', default: transports.join(',') },
      only: { type: 'string', default: '' },
      'guest-seconds': { type: 'string', default: GUEST_SECONDS },
      json: { type: 'string' },
      markdown: { type: 'string' },
    },
  });
  await setUpConsumers(report);
  const majors = values.nodes.split(',').map(Number);
  const nodes: [number, string][] = [];
  for (const major of majors) nodes.push([major, await nodeOf(major, report)]);

  const cells = new Map<string, Cell>();
  const keep = (cell: Cell): void => {
    cells.set(`${cell.consumer}/${cell.node}/${cell.transport}`, cell);
  };
  if (values.json !== undefined && existsSync(values.json)) {
    (JSON.parse(readFileSync(values.json, 'utf8')) as Cell[]).forEach(keep);
  }
  const onCell = (cell: Cell): void => {
    keep(cell);
    show(cell);
  };
  for (const transport of values.transports.split(',') as TransportName[]) {
    const common = { transport, nodes, only: values.only };
    if (transport === 'rdma') {
      const guest = { ...common, address: '10.77.0.1', timeoutMs: GUEST_TIMEOUT_MS };
      await runInGuest(guest, Number(values['guest-seconds']), onCell);
    } else await runCells({ ...common, address: '127.0.0.1', timeoutMs: TIMEOUT_MS }, onCell);
  }

  const all = [...cells.values()];
  process.stdout.write(`${tableOf(all)}\n`);
  if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(all, null, 1));
  if (values.markdown === undefined) return;
  const shown = [...new Set(all.map(({ node }) => node))].sort((a, b) => a - b);
  const versions: string[] = [];
  for (const major of shown) {
    versions.push((await execute(await nodeOf(major, report), ['--version'])).stdout.trim());
  }
  const settings = { ...(await resolveConfig(values.markdown)), parser: 'markdown' };
  writeFileSync(values.markdown, await format(pageOf(all, versions), settings));
}

void main();
