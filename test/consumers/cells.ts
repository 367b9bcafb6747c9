/**
 * Runs consumers on this machine, and writes a line of JSON for each: here, or in the lab's guest.
 *
 *     node dist/test/consumers/cells.js '{ "transport": "local", "address": "127.0.0.1", ... }'
 */

import type { TransportName } from '../../lib/mode';
import { consumers } from './consumers';
import { DatabaseServers } from './databases';
import { Runner, type Cell } from './runner';

export interface CellsOptions {
  readonly transport: TransportName;
  readonly address: string;
  /** Programs of Node, by their major versions. */
  readonly nodes: readonly (readonly [major: number, program: string])[];
  /** Of each step of an exchange. */
  readonly timeoutMs: number;
  /** Only consumers with names that contain this. */
  readonly only: string;
}

/** Runs all consumers on all versions of Node. */
export async function runCells(
  { transport, address, nodes, timeoutMs, only }: CellsOptions,
  onCell: (cell: Cell) => void,
): Promise<void> {
  const servers = new DatabaseServers();
  const databases = await servers.start();
  try {
    for (const [major, node] of nodes) {
      const runner = new Runner({ node, transport, address, timeoutMs }, major, databases);
      for (const consumer of consumers) {
        if (consumer.name.includes(only)) onCell(await runner.run(consumer));
      }
      for (const detail of await runner.end()) {
        onCell({
          consumer: 'end of the programs',
          node: major,
          transport,
          verdict: 'fails',
          detail,
        });
      }
    }
  } finally {
    await servers.stop();
  }
}

if (require.main === module) {
  const options = JSON.parse(process.argv[2] ?? '') as CellsOptions;
  void runCells(options, (cell) => {
    process.stdout.write(`${JSON.stringify(cell)}\n`);
  });
}
