/**
 * A client of a cluster:
 *
 *     hold COUNT       so many connections at once; says `held` when all have been answered, and
 *                      closes them
 *     storm LANES      one connection after the other in each of so many lanes, until told to
 *     halt             says `halted`
 *     load COUNT       so many requests of http over 16 connections; says `loaded`
 *
 * What it says tells how many connections (or requests) each worker answered, by its process, on
 * what they ran, and what went wrong. Arguments: address, port.
 */
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { listen, say } from '../../rdma/programs/said';

const [host = '', portText] = process.argv.slice(2);
const port = Number(portText);

/** What came of a number of connections. */
class Tally {
  workers: Record<string, number> = {};
  transports: Record<string, number> = {};
  errors: Record<string, number> = {};

  get all(): Record<string, Record<string, number>> {
    const { workers, transports, errors } = this;
    return { workers, transports, errors };
  }

  count(by: 'workers' | 'transports' | 'errors', key: string): void {
    this[by][key] = (this[by][key] ?? 0) + 1;
  }

  countError(error: unknown): void {
    const { code, syscall } = error as NodeJS.ErrnoException;
    this.count('errors', `${code ?? String(error)} ${syscall ?? ''}`.trim());
  }
}

/** Connects, and waits for the first line; nothing when that failed. */
async function meet(tally: Tally): Promise<net.Socket | undefined> {
  const socket = net.connect({ host, port });
  try {
    let text = '';
    for await (const chunk of socket.iterator({
      destroyOnReturn: false,
    }) as AsyncIterable<Buffer>) {
      text += chunk.toString();
      if (text.includes('\n')) break;
    }
    const [worker = '', transport] = text.trim().split(' ');
    if (worker === '') throw new Error('ended without a word');
    tally.count('workers', worker);
    tally.count('transports', socket.transport ?? 'none');
    if (transport !== socket.transport) tally.count('errors', 'not the same on both sides');
    return socket;
  } catch (error) {
    tally.countError(error);
    return undefined;
  }
}

async function leave(socket: net.Socket): Promise<void> {
  socket.resume();
  socket.end();
  if (!socket.closed) await once(socket, 'close');
}

async function hold(count: number): Promise<void> {
  const tally = new Tally();
  const sockets = await Promise.all(Array.from({ length: count }, () => meet(tally)));
  say('held', tally.all);
  await Promise.all(sockets.filter((socket) => socket !== undefined).map(leave));
  say('released');
}

let halted = true;

async function storm(lanes: number): Promise<void> {
  const tally = new Tally();
  halted = false;
  const lane = async (): Promise<void> => {
    while (!halted) {
      const socket = await meet(tally);
      if (socket !== undefined) await leave(socket);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  say('halted', tally.all);
}

async function load(count: number): Promise<void> {
  const tally = new Tally();
  const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
  const request = async (): Promise<void> => {
    try {
      const [response] = (await once(http.get({ host, port, agent }), 'response')) as [
        http.IncomingMessage,
      ];
      const { transport } = response.socket;
      let body = '';
      for await (const chunk of response) body += String(chunk);
      tally.count('workers', body);
      tally.count('transports', transport ?? 'none');
    } catch (error) {
      tally.countError(error);
    }
  };
  await Promise.all(Array.from({ length: count }, request));
  agent.destroy();
  say('loaded', tally.all);
}

function obey(command: string): void {
  const [verb, count] = command.split(' ');
  if (verb === 'hold') void hold(Number(count));
  else if (verb === 'storm') void storm(Number(count));
  else if (verb === 'halt') halted = true;
  else if (verb === 'load') void load(Number(count));
  else throw new Error(`unknown command: ${command}`);
}

listen(obey, () => undefined);
say('ready');
