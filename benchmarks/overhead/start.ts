/** How long Node takes to start, with the preload or without. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { rotated } from '../../lib/statistics';
import { withPreload } from '../support/children';

const run = promisify(execFile);

/** What a start takes longer than one of Node without the preload, of the same round. */
export interface StartRow {
  contestant: 'again' | 'preload';
  wallMs: number;
  /** User and system time of all threads up to the first line of the program. */
  cpuMs: number;
}

interface Start {
  wallMs: number;
  cpuMs: number;
}

const PROGRAM = 'const { user, system } = process.cpuUsage(); console.log((user + system) / 1000)';

async function start(flags: string[]): Promise<Start> {
  const startMs = performance.now();
  const { stdout } = await run(process.execPath, [...flags, '-e', PROGRAM]);
  return { wallMs: performance.now() - startMs, cpuMs: Number(stdout) };
}

/** One round: the three one right after the other, each time in another order. */
export async function compareStart(round: number): Promise<StartRow[]> {
  const starts = new Map<string, Start>();
  for (const name of rotated(['none', 'again', 'preload'], round)) {
    starts.set(name, await start(name === 'preload' ? withPreload : []));
  }
  const none = starts.get('none');
  return (['again', 'preload'] as const).map((contestant) => {
    const own = starts.get(contestant);
    const over = (field: keyof Start): number => (own?.[field] ?? NaN) - (none?.[field] ?? NaN);
    return { contestant, wallMs: over('wallMs'), cpuMs: over('cpuMs') };
  });
}
