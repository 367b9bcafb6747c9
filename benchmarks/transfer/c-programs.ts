/** Programs in C that transfer, as `npm run bench -- lab` and `hosts` compare with. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import type { Contestant } from './contestants';

const run = promisify(execFile);

/** Waits until somebody listens on a port: the kernel's lists are the only ones who know. */
export async function listening(port: string, transport: 'rdma' | 'tcp'): Promise<void> {
  const deadline = performance.now() + 30_000;
  const hexadecimal = Number(port).toString(16).toUpperCase().padStart(4, '0');
  while (performance.now() < deadline) {
    if (transport === 'tcp') {
      // Of a line: number, local address and port, remote address and port, 0A for listening.
      const pattern = new RegExp(`:${hexadecimal} [0-9A-F]+:0000 0A `);
      if (pattern.test(readFileSync('/proc/net/tcp', 'latin1'))) return;
      // The server needs the processor that this loop would take.
      await new Promise((resolve) => setTimeout(resolve, 10));
    } else {
      const { stdout } = await run('rdma', ['resource', 'show', 'cm_id']);
      // An id has its port a moment before it listens.
      const onPort = (line: string): boolean => line.includes(`:${port} `);
      if (stdout.split('\n').some((line) => onPort(line) && line.includes(' LISTEN '))) return;
    }
  }
  throw new Error(`nobody listens on port ${port}`);
}

/** How often ib_write_bw is run until it can tell its time. */
const ATTEMPTS_MAX = 10;

// A port may be in use for a while by who was connected to it.
let nextPort = 20_000;

/** Runs a server and, when it listens, a client; gives what the client printed. */
async function runPair(
  program: string,
  serverArgs: string[],
  clientArgs: string[],
  port: string,
  transport: 'rdma' | 'tcp',
): Promise<string> {
  const server = spawn(program, serverArgs, { stdio: ['ignore', 'ignore', 'inherit'] });
  const ended = once(server, 'close');
  try {
    await listening(port, transport);
    const { stdout } = await run(program, clientArgs);
    await ended;
    return stdout;
  } finally {
    server.kill('SIGKILL');
  }
}

/** The seconds in what rstream prints: a header, and a line that ends in `1.22s 0.17 3059.10`. */
export function secondsOfRstream(output: string, transfers: number): number {
  const match = /([\d.]+)s\s+[\d.]+\s+([\d.]+)\s*$/.exec(output.trimEnd());
  // Its last column is exact where its seconds have two digits: microseconds a transfer.
  const microseconds = Number(match?.[2]);
  if (!(microseconds > 0)) throw new Error(`rstream printed no result: ${output}`);
  return (microseconds * transfers) / 1e6;
}

/** rstream of rdma-core; `flags` are its own, as `-T s` for TCP. */
export function rstream(address: string, flags: string[], transport: 'rdma' | 'tcp'): Contestant {
  return {
    async transfer({ bytes, count, turns, echo }) {
      if (!echo) throw new Error('rstream sends as much back as it got');
      const port = String(nextPort++);
      const size = ['-S', String(bytes), '-C', String(count), '-I', String(turns)];
      const both = [...size, '-p', port, ...flags];
      const [server, client] = [
        ['-b', address, ...both],
        ['-s', address, ...both],
      ];
      const output = await runPair('rstream', server, client, port, transport);
      return { seconds: secondsOfRstream(output, 2 * count * turns) };
    },
    end: () => Promise.resolve(),
  };
}

/**
 * The average rate in what ib_write_bw prints, in bytes a second; its MB are MiB. It is 0 where it
 * could not tell the processor's frequency, by which it measures: on a busy machine, now and then.
 */
export function rateOfIbWriteBw(output: string, bytes: number): number {
  const match = new RegExp(`^\\s*${bytes}\\s+\\d+\\s+[\\d.]+\\s+([\\d.]+)`, 'm').exec(output);
  if (match === null) throw new Error(`ib_write_bw printed no result: ${output}`);
  return Number(match[1]) * 2 ** 20;
}

/** ib_write_bw of perftest, connected with librdmacm, at the MTU of the device. */
export function ibWriteBw(address: string): Contestant {
  return {
    async transfer({ bytes, count, turns, echo }) {
      if (echo) throw new Error('ib_write_bw sends in one direction');
      const iterations = count * turns;
      for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
        const port = String(nextPort++);
        const both = ['-R', '-F', '-s', String(bytes), '-n', String(iterations), '-p', port];
        const output = await runPair('ib_write_bw', both, [...both, address], port, 'rdma');
        const rate = rateOfIbWriteBw(output, bytes);
        if (rate > 0) return { seconds: (iterations * bytes) / rate };
      }
      throw new Error(`ib_write_bw could not tell its time, ${ATTEMPTS_MAX} times`);
    },
    end: () => Promise.resolve(),
  };
}
