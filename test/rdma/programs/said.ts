import { subscribe } from 'node:diagnostics_channel';
import type { AddressInfo, Server } from 'node:net';
import type { Reason } from '../../../lib/reasons';

/** Says something to the test: a line of JSON. */
export function say(event: string, details: Record<string, unknown> = {}): void {
  process.stdout.write(`${JSON.stringify({ event, ...details })}\n`);
}

/** What a test asks of an error: its code, and that of what RDMA said. */
export function describeError(error: Error): Record<string, unknown> {
  const { code, cause } = error as NodeJS.ErrnoException;
  return { code, cause: (cause as NodeJS.ErrnoException | undefined)?.code };
}

/** Calls `onCommand` with each line that the test writes, and `onEnd` when it has no more. */
export function listen(onCommand: (command: string) => void, onEnd: () => void): void {
  let rest = '';
  process.stdin.setEncoding('utf8');
  process.stdin.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onCommand(line);
  });
  process.stdin.on('end', onEnd);
}

/** Listens, says so, and closes the server when the test has no more commands. */
export function serveUntilEnd(server: Server, address: string): void {
  sayWhenListening(server);
  server.listen(0, address);
  listen(
    () => undefined,
    () => server.close(),
  );
}

/** Says `listening` when it is known whether the server can be reached over more than TCP. */
export function sayWhenListening(server: Server): void {
  const port = (): number => (server.address() as AddressInfo).port;
  if (process.env.RDMA_NET === 'off') {
    server.once('listening', () => say('listening', { port: port(), transport: 'tcp' }));
    return;
  }
  subscribe('rdma-net:listen', (message) => {
    const { transport = 'rdma' } = message as { transport?: string };
    say('listening', { port: port(), transport });
  });
  subscribe('rdma-net:fallback', (message) => {
    const { server: about, reason } = message as { server?: Server; reason: Reason };
    if (about !== server) return;
    say('listening', {
      port: port(),
      transport: 'tcp',
      reason: reason.code,
      detail: reason.detail,
    });
  });
}
