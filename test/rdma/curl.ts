/** curl as it is, its sockets turned into rsockets by librspreload, as a client of Node's http. */
import { createHash } from 'node:crypto';
import { createReadStream, statSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import t from 'tap';
import { PATIENT, Program, run } from './program';
import { librspreload } from './rstream';

const ADDRESS = '10.77.0.1';
const BYTES = 64 << 20;
const FILE = '/tmp/fetched';

export function curlTests(): void {
  void t.test('curl on rsockets fetches 64 MiB from an http server', PATIENT, async (t) => {
    const server = new Program('file-server', {
      args: [ADDRESS, String(BYTES)],
      env: { RDMA_NET: 'require' },
    });
    const { digest } = await server.says('body');
    const { port, transport } = await server.says('listening');
    t.equal(transport, 'rdma');
    const { code, output } = await run('env', [
      `LD_PRELOAD=${librspreload()}`,
      ...['curl', '--silent', '--show-error', '--noproxy', '*', '--output', FILE],
      `http://${ADDRESS}:${port as number}/`,
    ]);
    t.match({ code, output }, { code: 0, output: '' });
    t.equal(statSync(FILE).size, BYTES);
    const fetched = createHash('sha256');
    await pipeline(createReadStream(FILE), fetched);
    t.equal(fetched.digest('hex'), digest);
    t.match(await server.says('response'), { transport: 'rdma', peer: 'rsockets', whole: true });
    t.match(await server.end(), { code: 0, stderr: '' });
  });
}
