/** Consumers of net under the preload, on this Node: over TCP and over shared memory. */
import t from 'tap';
import type { TransportName } from '../lib/mode';
import { consumers } from './consumers/consumers';
import { DatabaseServers } from './consumers/databases';
import { Runner, type Cell } from './consumers/runner';
import { setUpConsumers } from './consumers/setup';
import { LabUnavailable } from './lab/execute';

const major = Number.parseInt(process.versions.node);
const servers = new DatabaseServers();

async function whyNot(): Promise<string | undefined> {
  try {
    await setUpConsumers((line) => t.comment(line));
    return undefined;
  } catch (error) {
    if (error instanceof LabUnavailable) return error.message;
    throw error;
  }
}

function consumerTests(transport: TransportName): void {
  const options = { node: process.execPath, transport, address: '127.0.0.1', timeoutMs: 60_000 };
  const runner = new Runner(options, major, servers.found);
  for (const consumer of consumers) {
    void t.test(`${consumer.name} works over ${transport}`, async (t) => {
      const cell = await runner.run(consumer);
      const isThere = !(consumer.name === 'WebSocket' && major < 22);
      const wanted: Pick<Cell, 'verdict' | 'detail'> = !isThere
        ? { verdict: 'absent', detail: 'this Node has no global WebSocket' }
        : consumer.onTcp !== undefined && transport !== 'tcp'
          ? { verdict: 'tcp', detail: consumer.onTcp }
          : { verdict: 'works', detail: '' };
      t.match(cell, wanted);
    });
  }
  void t.test(`the programs that used ${transport} end when nothing is left to do`, async (t) => {
    t.strictSame(await runner.end(), []);
  });
}

void (async () => {
  t.setTimeout(600_000);
  const reason = await whyNot();
  if (reason !== undefined) {
    if (process.env.CI) t.fail(`the consumers must be there in CI: ${reason}`);
    else t.pass('consumers of net', { skip: reason });
    return;
  }
  await servers.start();
  t.teardown(() => servers.stop());
  consumerTests('tcp');
  consumerTests('local');
})();
