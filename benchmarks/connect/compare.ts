/**
 * Times of connections to peers without RDMA, in interleaved rounds: one process for each contestant
 * and round.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { promisify } from 'node:util';
import { firstLine, scriptFile, withPreload } from '../support/children';
import type { ConnectTimes } from './client';
import { rotated } from '../../lib/statistics';

const run = promisify(execFile);

export const PLAIN = 'plain Node';
/** Tells how far to trust the figures. */
export const AGAIN = 'plain Node again';

export interface ConnectComparison {
  node: string;
  /** How much longer everything takes than on hardware. */
  slowness: number;
  rounds: Record<string, ConnectTimes>[];
}

/** Who connects, and to what. */
export interface Contestant {
  name: string;
  address: string;
  port: number;
  /** Whether it has the preload. */
  preload: boolean;
  env?: Record<string, string>;
  /** What stands in for RDMA. */
  standIn?: 'refused' | 'silent';
}

/** A server in a process of its own. */
export async function startServer(
  address: string,
  wrapper: string[] = [],
): Promise<{ server: ChildProcess; port: number }> {
  const command = [...wrapper, process.execPath, scriptFile('connect/server.js'), address];
  const server = spawn(command[0] ?? '', command.slice(1), {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return { server, port: Number(await firstLine(server)) };
}

async function timesOf(contestant: Contestant, count: number): Promise<ConnectTimes> {
  const { address, port, preload, standIn, env } = contestant;
  const flags = preload ? withPreload : [];
  const args = [...flags, scriptFile('connect/client.js'), address, String(port), String(count)];
  const { stdout } = await run(process.execPath, [...args, standIn ?? ''], {
    env: { ...process.env, ...env },
  });
  return JSON.parse(stdout) as ConnectTimes;
}

/** @param count connections of each contestant and round after the second */
export async function compareConnects(
  contestants: Contestant[],
  rounds: number,
  count: number,
): Promise<ConnectComparison['rounds']> {
  const results: ConnectComparison['rounds'] = [];
  for (let round = 0; round < rounds; round++) {
    const result: Record<string, ConnectTimes> = {};
    for (const contestant of rotated(contestants, round)) {
      result[contestant.name] = await timesOf(contestant, count);
    }
    results.push(result);
  }
  return results;
}
