/**
 * Starts the servers of `npm run bench -- hosts` on the other host. Each connection is one process:
 * its first line is a {@link Launch}, then comes what the process writes to its standard output.
 *
 *     node hosts-agent.js ADDRESS
 */
import { execFileSync, spawn } from 'node:child_process';
import net from 'node:net';
import { listening } from '../transfer/c-programs';

/** What is to be started. */
export interface Launch {
  command: string;
  args: string[];
  env: Record<string, string>;
  /** If given, a line is sent when the process listens there. */
  listens?: { port: string; transport: 'rdma' | 'tcp' };
  /** Whether it ends when its standard input does; if not, it is killed at the connection's end. */
  endsWithInput: boolean;
}

export const AGENT_PORT = 8100;

function start(socket: net.Socket, launch: Launch): void {
  const { command, args, env, listens, endsWithInput } = launch;
  const child = spawn(command, args, {
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const end = (): void => {
    if (endsWithInput) child.stdin.end();
    else child.kill('SIGKILL');
  };
  socket.on('end', end);
  socket.on('error', end);
  child.on('error', (error) => socket.destroy(error));
  child.on('close', () => socket.end());
  child.stdout.pipe(socket, { end: false });
  if (listens === undefined) return;
  listening(listens.port, listens.transport).then(
    () => socket.write('listening\n'),
    (error: unknown) => {
      console.error(error);
      child.kill('SIGKILL');
    },
  );
}

const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
  let text = '';
  const receive = (chunk: Buffer): void => {
    text += chunk.toString();
    if (!text.endsWith('\n')) return;
    socket.off('data', receive);
    start(socket, JSON.parse(text) as Launch);
    socket.resume();
  };
  socket.on('data', receive);
});
if (require.main === module) {
  server.listen(AGENT_PORT, process.argv[2], () => void execFileSync('lab-signal', ['agent']));
}
