/** Connections that are made only to be ended. */
import { once } from 'node:events';
import net from 'node:net';
import { percentilesOf, type Percentiles } from '../../lib/statistics';

/** Connections to make, each ended as soon as it is connected, and then the next. */
export interface Churn {
  address: string;
  port: number;
  /** How many to have at once. */
  atOnce: number;
  seconds: number;
}

export interface Churned {
  connects: number;
  seconds: number;
  /** From the call to 'connect'. */
  latency: Percentiles;
}

export async function churn({ address, port, atOnce, seconds }: Churn): Promise<Churned> {
  const startMs = performance.now();
  const untilMs = startMs + seconds * 1000;
  const microseconds: number[] = [];
  const connectOn = async (): Promise<void> => {
    while (performance.now() < untilMs) {
      const calledMs = performance.now();
      const socket = net.connect(port, address);
      socket.on('connect', () => {
        microseconds.push((performance.now() - calledMs) * 1000);
        socket.end();
      });
      await once(socket.resume(), 'close');
    }
  };
  await Promise.all(Array.from({ length: atOnce }, connectOn));
  return {
    connects: microseconds.length,
    seconds: (performance.now() - startMs) / 1000,
    latency: percentilesOf(microseconds),
  };
}
