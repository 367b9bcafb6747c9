/** What rstream of rdma-core can be told: the transfers and modes that Node meets as its peer. */
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';

/** One run of rstream, which checks what it receives. */
export interface RstreamRun {
  /** Its -T options in words. */
  mode: string;
  /** The arguments behind them. */
  options: string[];
  bytes: number;
  count: number;
  iterations: number;
}

/**
 * Sizes around which something changes on the wire, then those of `rstream -S all`: 64 bytes to
 * 6 MiB, each power of two and what lies half-way to the next. `-S all` itself would take hours on
 * an emulated processor: 100,000 transfers of each small size.
 */
const sizes = [1, 65, 65_537];
for (let bytes = 64; bytes <= 4 << 20; bytes *= 2) {
  sizes.push(bytes);
  if (bytes > 64) sizes.push(bytes + bytes / 2);
}
sizes.sort((one, other) => one - other);

/**
 * All combinations of -T that use RDMA: how it waits (not at all, in its calls, or in its calls
 * and yet not at all), with or without poll, addresses resolved by libc or by librdmacm. `s` and
 * `f` are plain sockets: they use RDMA under librspreload only.
 */
const modes: [string, string[]][] = [];
for (const [waiting, first] of [
  ['nonblocking', ['n']],
  ['blocking', ['b']],
  ['blocking and nonblocking', ['b', 'n']],
] as const) {
  for (const [polling, second] of [
    ['', []],
    [', with poll', ['a']],
  ] as const) {
    for (const [resolving, third] of [
      ['', []],
      [', resolved by librdmacm', ['r']],
    ] as const) {
      const letters = [...first, ...second, ...third];
      modes.push([waiting + polling + resolving, letters.flatMap((letter) => ['-T', letter])]);
    }
  }
}

/** Its buffers: what it takes by itself (512 KiB), less than many transfers, and an odd size. */
const buffers = [[], ['-B', '8192'], ['-B', '100001']];

/** Few transfers, which keeps all of it short on an emulated processor, but more than a buffer. */
function transfersOf(bytes: number): { count: number; iterations: number } {
  if (bytes <= 4096) return { count: 20, iterations: 2 };
  if (bytes <= 65_537) return { count: 4, iterations: 2 };
  return { count: 1, iterations: 1 };
}

function runOf(bytes: number, [mode, letters]: [string, string[]], buffer: string[]): RstreamRun {
  const buffered = buffer.length === 0 ? mode : `${mode}, buffers of ${buffer[1]} bytes`;
  return { mode: buffered, options: [...letters, ...buffer], bytes, ...transfersOf(bytes) };
}

/**
 * Every size, every mode and every buffer, each mode with small, middle and large sizes and with
 * each buffer; `whole` gives every mode with every size instead, which takes minutes.
 */
export function rstreamRuns(whole: boolean): RstreamRun[] {
  const chosen = <T>(from: T[], index: number): T => from[index % from.length] as T;
  return sizes.flatMap((bytes, index) => {
    const turn = Math.floor(index / modes.length);
    const of = whole ? modes : [chosen(modes, index)];
    return of.map((mode) => runOf(bytes, mode, chosen(buffers, index + turn)));
  });
}

/** The arguments behind the address: `-s` or `-b`. */
export function rstreamArguments(run: RstreamRun, port: number): string[] {
  return [
    ...['-S', String(run.bytes), '-C', String(run.count), '-I', String(run.iterations)],
    ...['-p', String(port), '-T', 'v', ...run.options],
  ];
}

/** Bytes that go each way, with those by which rstream begins. */
export function bytesEachWay(run: RstreamRun): number {
  return 16 + run.bytes * run.count * run.iterations;
}

/** The library that turns the sockets of a program into rsockets. */
export function librspreload(): string {
  const found = readdirSync('/usr/lib')
    .filter((name) => name.endsWith('-linux-gnu'))
    .map((name) => path.join('/usr/lib', name, 'rsocket', 'librspreload.so'))
    .find((file) => existsSync(file));
  if (found === undefined) throw new Error('librspreload.so is in no folder of /usr/lib');
  return found;
}
