/** A load generator for http2 over node:http2, for autocannon has none. */
import { EventEmitter, once } from 'node:events';
import http2, { type ClientHttp2Session } from 'node:http2';
import type { Load, Loaded } from './load';
import { LoadWindow } from './load-window';

/** How an answer came. */
type Answer = 'whole' | 'failed';

function request(session: ClientHttp2Session, path: string, bytes: number): Promise<Answer> {
  if (session.destroyed) return Promise.resolve('failed');
  return new Promise((resolve) => {
    let [received, status] = [0, 0];
    const stream = session.request({ ':path': path });
    stream.on('response', (headers) => (status = headers[':status'] ?? 0));
    stream.on('data', (chunk: Buffer) => (received += chunk.length));
    // What went wrong is told by what is missing at the end.
    stream.on('error', () => undefined);
    stream.on('close', () => resolve(status === 200 && received >= bytes ? 'whole' : 'failed'));
  });
}

export async function loadHttp2({ url, connections, seconds, bytes }: Load): Promise<Loaded> {
  const { origin, pathname } = new URL(url);
  const window = new LoadWindow(connections, seconds);
  let [failures, isOver] = [0, false];
  const ready = new EventEmitter();
  const allConnected = once(ready, 'all');
  const use = async (session: ClientHttp2Session): Promise<void> => {
    // Those that come first would keep the others waiting, with large bodies for long.
    await allConnected;
    while (!isOver) {
      const startMs = performance.now();
      if ((await request(session, pathname, bytes)) === 'failed') {
        failures++;
        isOver = true;
      } else if (window.answered(performance.now() - startMs) === 'over') {
        isOver = true;
      }
    }
    session.close();
    if (!session.destroyed) await once(session, 'close');
  };
  const sessions = Array.from({ length: connections }, () => {
    const session = http2.connect(origin, () => {
      if (window.connected() === 'last') ready.emit('all');
    });
    // The requests of a session that failed fail with it.
    session.on('error', () => ready.emit('all'));
    return session;
  });
  await Promise.all(sessions.map(use));
  return { ...window.result(), failures };
}
