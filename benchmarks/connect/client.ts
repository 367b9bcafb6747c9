/**
 * Connects to a TCP server once, a second time, and then many times, and prints how long it took: a
 * {@link ConnectTimes} in JSON. Arguments: address, port, how many times, and what stands in for
 * RDMA: nothing, or a peer that refuses or that is silent, in memory.
 */
import { once } from 'node:events';
import net from 'node:net';
import { performance } from 'node:perf_hooks';
import { info } from '../../lib/index';
import { configure, install } from '../../lib/install';
import { Status } from '../../lib/native-status';
import { useBinding } from '../../lib/transport';
import { FakeBinding } from '../../test/unit/fake-binding';
import { spreadOf } from '../../lib/statistics';

/** One connection, from the call to 'connect'. */
export interface ConnectTime {
  ms: number;
  /** Turns of the event loop; NaN where Node does not count them. */
  turns: number;
  /** Why it is on TCP, where rdma-net had to choose. */
  reason: string | undefined;
}

export interface ConnectTimes {
  first: ConnectTime;
  second: ConnectTime;
  /** The median of many. */
  laterMs: number;
}

const [address = '', port = '', count = '', standIn = ''] = process.argv.slice(2);

function turnsSoFar(): number {
  const timing = performance.nodeTiming as { uvMetricsInfo?: { loopCount: number } };
  return timing.uvMetricsInfo?.loopCount ?? NaN;
}

function replaceRdma(answer: 'silent' | Status): void {
  const binding = new FakeBinding();
  binding.onTransport = (transport) => transport.answers.set(address, answer);
  useBinding(binding, { ownsLoopback: true });
  configure({ transports: ['rdma'] });
  install(true);
}

async function connect(): Promise<ConnectTime> {
  const before = turnsSoFar();
  const startMs = performance.now();
  const socket = net.connect(Number(port), address);
  let time = { ms: NaN, turns: NaN };
  socket.once('connect', () => {
    time = { ms: performance.now() - startMs, turns: turnsSoFar() - before };
  });
  await once(socket, 'connect');
  const reason = info(socket).reason?.code;
  socket.destroy();
  await once(socket, 'close');
  return { ...time, reason };
}

async function main(): Promise<void> {
  if (standIn === 'refused') replaceRdma(Status.ConnectionRefused);
  if (standIn === 'silent') replaceRdma('silent');
  const first = await connect();
  const second = await connect();
  const laterMs: number[] = [];
  for (let i = 0; i < Number(count); i++) laterMs.push((await connect()).ms);
  const times: ConnectTimes = { first, second, laterMs: spreadOf(laterMs).median };
  console.log(JSON.stringify(times));
}

void main();
