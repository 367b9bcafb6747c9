/** What `rdma-net status` tells of programs that are really there. */
import path from 'node:path';
import t, { type Test } from 'tap';
import type { JsonHead } from '../../lib/commands/json';
import type { ProgramStatus } from '../../lib/commands/status/programs';
import type { Counters } from '../../lib/native';
import type { Place } from './place';
import { PATIENT, Program, root, run } from './program';

const BYTES = 1 << 20;
const cli = path.join(root, 'dist', 'lib', 'cli.js');

/** Runs the command, which has to succeed. */
export async function statusOf(t: Test, ...args: string[]): Promise<string> {
  const { code, output } = await run(process.execPath, [cli, 'status', ...args]);
  if (code !== 0) t.fail(output);
  return output;
}

/** What the command says of one program, in JSON. */
export async function askAbout(t: Test, pid: number, ...args: string[]): Promise<ProgramStatus> {
  const output = await statusOf(t, String(pid), '--json', ...args);
  const { format, programs } = JSON.parse(output) as JsonHead & { programs: ProgramStatus[] };
  t.equal(format, 1);
  t.equal(programs.length, 1);
  const [program] = programs;
  if (program === undefined) throw new Error(output);
  return program;
}

export function statusTests({ address, transport }: Place): void {
  void t.test(
    'status lists the sockets of a program and its workers: device, peer, bytes, and what was in place',
    PATIENT,
    async (t) => {
      const program = new Program('talker', { args: [address, String(BYTES), 'worker'] });
      const sayings = [await program.says('talking'), await program.says('talking', 1)];
      const status = await askAbout(t, program.pid);
      t.match(status, { pid: program.pid, answers: true, node: process.version });
      t.strictSame(
        status.environments.map(({ servers }) => servers?.map(({ port }) => port)),
        sayings.map(({ port }) => [port]),
        'each environment has its server',
      );
      for (const [index, { connections = [], totals }] of status.environments.entries()) {
        t.equal(totals.connections[transport], 2);
        const client = connections.find(({ direction }) => direction === 'out');
        const server = connections.find(({ direction }) => direction === 'in');
        t.match(client, { transport, peer: 'rdma-net', reason: null, bytesSent: BYTES });
        t.match(server, { transport, peer: 'rdma-net', reason: null, bytesReceived: BYTES });
        t.strictSame(client?.local, server?.remote);
        t.strictSame(client?.remote, server?.local);
        t.match(client?.device, transport === 'local' ? 'shm' : /^[a-z]+\w*\d$/);
        const { sent, received } = sayings[index] as unknown as Record<string, Counters>;
        t.equal(client?.bytesSentInPlace, sent?.bytesSentInPlace);
        t.equal(server?.bytesReceivedInPlace, received?.bytesReceivedInPlace);
        const inPlace = (client?.bytesSentInPlace ?? 0) + (server?.bytesReceivedInPlace ?? 0);
        t.ok(inPlace > 0, 'something was not copied');
      }
      t.equal(status.totals.connections[transport], 4, 'all are in the totals of the program');
      const text = await statusOf(t, String(program.pid));
      t.match(text, `${transport}  out`);
      t.match(text, `worker ${status.environments[1]?.thread ?? NaN}`);
      t.match(await program.end(), { code: 0, stderr: '' });
    },
  );
}
