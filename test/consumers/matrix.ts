/** `npm run matrix -- [OPTIONS]`: see `--help`. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Writable } from 'node:stream';
import { format, resolveConfig } from 'prettier';
import { chosen, wholeNumber, wholeNumbers } from '../command-line/options';
import { program, runProgram, type CommandLine } from '../command-line/program';
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
const GUEST_SECONDS_MAX = 36_000;

const commandLine = {
  summary: 'what works: each consumer on each version of Node over each transport, from a run',
  about: 'All of rdma is one boot of the guest in the lab.',
  options: {
    nodes: {
      type: 'string',
      default: '20,22,24,26',
      takes: 'LIST',
      about: 'major versions of Node, got from npm',
    },
    transports: {
      type: 'string',
      default: transports.join(','),
      takes: 'LIST',
      about: 'which transports',
    },
    only: {
      type: 'string',
      default: '',
      takes: 'TEXT',
      about: 'consumers with this in their name',
    },
    'guest-seconds': {
      type: 'string',
      default: '3000',
      takes: 'N',
      about: 'how long the guest may take',
    },
    json: {
      type: 'string',
      takes: 'FILE',
      about: 'where to write the cells; those it has already, and that are not run now, are kept',
    },
    markdown: { type: 'string', takes: 'FILE', about: 'where to write the page of all cells' },
  },
} as const satisfies CommandLine;

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

const matrix = program(commandLine, async ({ values }) => {
  const majors = wholeNumbers('nodes', values.nodes, 99);
  const wanted = chosen('transports', values.transports, transports);
  const guestSeconds = wholeNumber('guest-seconds', values['guest-seconds'], GUEST_SECONDS_MAX);
  await setUpConsumers(report);
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
  for (const transport of wanted) {
    const common = { transport, nodes, only: values.only };
    if (transport === 'rdma') {
      const guest = { ...common, address: '10.77.0.1', timeoutMs: GUEST_TIMEOUT_MS };
      await runInGuest(guest, guestSeconds, onCell);
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
});

void runProgram('npm run matrix --', matrix);
