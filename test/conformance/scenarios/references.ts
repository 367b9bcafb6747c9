/** `ref` and `unref`: what holds a process, or here a thread, and what does not. */
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import type { EndingData } from '../ending';
import type { Scenario, Scenarios } from '../scenario';
import type { Stage } from '../stage';

const ending = path.join(__dirname, '..', 'ending.js');

interface Said {
  said: string;
  value?: number;
}

/** Whether a thread that has this open ends by itself. */
async function play(stage: Stage, what: string): Promise<void> {
  const lane = stage.lane('thread');
  const server = stage.createServer();
  const port = await stage.listen(server);
  const workerData: EndingData = { what, place: stage.place, port };
  const worker = new Worker(ending, { workerData });
  worker.on('message', ({ said, value }: Said) => {
    if (said === 'port' && value !== undefined) stage.connect(value).on('error', () => undefined);
    else lane.note(said);
  });
  worker.on('error', (error) => lane.note('error', error));
  const code = await new Promise((resolve) => worker.once('exit', resolve));
  lane.note('exit', code);
}

const things = [
  ...['a connected socket', 'an unreferenced socket', 'a socket unreferenced while connecting'],
  ...['an unreferenced socket whose peer does not read', 'an unreferenced socket that connects'],
  ...['a socket referenced again', 'a paused socket', 'a listening server'],
  ...['an unreferenced server', 'a server referenced again'],
  'a socket of an unreferenced server',
];

/** A thread each costs too much where the processor is emulated. */
export const references: Scenarios = Object.fromEntries(
  things.map((what): [string, Scenario] => [
    `${what} and its thread`,
    { onlyHere: true, play: (stage) => play(stage, what) },
  ]),
);
