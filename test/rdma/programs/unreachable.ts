/**
 * Connects to an address where nobody answers, and says the longest time that the event loop was
 * blocked meanwhile, in milliseconds; first to one that answers, so that libraries and code are
 * loaded. Arguments: the address that answers, its port, the one that does not.
 */
import { once } from 'node:events';
import net from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { say } from './said';

const [address = '', port, nowhere = ''] = process.argv.slice(2);
const RESOLUTION_MS = 1;
const PATIENCE_MS = 8000;

async function connect(host: string): Promise<string | undefined> {
  const socket = net.connect({ host, port: Number(port) });
  socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error('gave up')));
  try {
    await once(socket, 'connect');
    const { transport } = socket;
    socket.destroy();
    await once(socket, 'close');
    return transport;
  } catch {
    return undefined;
  }
}

async function main(): Promise<void> {
  say('warmed', { transport: await connect(address) });
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  const transport = await connect(nowhere);
  histogram.disable();
  // The histogram counts the whole interval between two looks, the resolution included.
  say('done', { transport, blockedMs: histogram.max / 1e6 - RESOLUTION_MS });
}

void main();
