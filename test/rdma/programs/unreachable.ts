/**
 * Connects to addresses where nobody answers, to each over TCP and then over RDMA, and says the
 * longest time that the event loop was blocked meanwhile, in milliseconds; first to one that
 * answers, so that libraries and code are loaded. Arguments: the address that answers, its port,
 * those that do not.
 */
import { once } from 'node:events';
import net from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { configure } from '../../../lib/index';
import { say } from './said';

const [address = '', port, ...nowhere] = process.argv.slice(2);
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

async function blockedWhileConnecting(host: string, mode: 'off' | 'require'): Promise<number> {
  configure({ mode });
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  const transport = await connect(host);
  histogram.disable();
  // What becomes of a plain TCP socket is the kernel's affair.
  if (mode === 'require' && transport !== undefined) {
    throw new Error(`${host} answers over ${transport}`);
  }
  // The histogram counts the whole interval between two looks, the resolution included.
  return histogram.max / 1e6 - RESOLUTION_MS;
}

async function main(): Promise<void> {
  say('warmed', { transport: await connect(address) });
  for (const host of nowhere) {
    const tcpMs = await blockedWhileConnecting(host, 'off');
    const rdmaMs = await blockedWhileConnecting(host, 'require');
    say('tried', { tcpMs, rdmaMs });
  }
}

void main();
