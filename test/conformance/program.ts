/**
 * Plays scenarios one after the other, and says what each saw. Without the preload that is plain
 * net; with it, `transport` is what the sockets have to be on.
 *
 *     node [--require rdma-net/preload] program.js TRANSPORT ADDRESS WILDCARD [SCENARIO...]
 */
import type { Settings } from '../../lib/mode';
import { say } from '../rdma/programs/said';
import type { NamedScenario } from './scenario';
import { allScenarios } from './scenarios/all';
import { Stage, turn } from './stage';

const [transport, address, wildcard, ...wanted] = process.argv.slice(2);
const isCaught = process.env.RDMA_NET !== 'off';

/** After this a scenario hangs: an emulated processor is 25 times slower. */
const PATIENCE_MS = transport === 'rdma' ? 60_000 : 10_000;

function configure(settings: Partial<Settings>): void {
  if (!isCaught) return;
  // Not at the top: plain net is to be plain.
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const ours = require('../../lib/index') as typeof import('../../lib/index');
  ours.configure(settings);
}

async function play(scenario: NamedScenario): Promise<void> {
  const { name, onAny = false } = scenario;
  const onTcp = scenario.onTcp === true || onAny;
  const stage = new Stage({
    transport: onTcp || !isCaught ? 'tcp' : (transport as 'local' | 'rdma'),
    address: address ?? '',
    wildcard: wildcard ?? '',
  });
  const uncaught = (error: unknown): void => {
    stage.lane('process').note('uncaughtException', error);
  };
  const warned = (warning: unknown): void => {
    stage.lane('process').note('warning', warning);
  };
  process.on('uncaughtException', uncaught).on('warning', warned);
  if (onTcp) configure({ mode: 'prefer' });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      stage.lane('process').note('the scenario does not end');
      resolve();
    }, PATIENCE_MS);
  });
  try {
    await Promise.race([scenario.play(stage), late]);
  } catch (error) {
    stage.lane('process').note('the scenario fails', error);
  }
  await Promise.race([stage.clear(), late]);
  await turn();
  clearTimeout(timer);
  if (onTcp) configure({ mode: process.env.RDMA_NET as 'require' | 'prefer' });
  process.off('uncaughtException', uncaught).off('warning', warned);
  const { acceptedCount, transports } = stage;
  say('played', { name, lanes: stage.transcript.lanes, onTcp, onAny, acceptedCount, transports });
}

void (async () => {
  for (const scenario of allScenarios()) {
    const { name, known = true, onlyHere = false } = scenario;
    if (wanted.length > 0 && !wanted.some((part) => name.includes(part))) continue;
    if (!known || (onlyHere && transport === 'rdma')) continue;
    await play(scenario);
  }
  say('done', {});
})();
