/** The examples that are worth a run on RDMA too. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t from 'tap';
import type { Place } from '../rdma/place';
import { Example } from './example';

const fetchProgram = path.join(__dirname, 'fetch.js');
const FILE_BYTES = 6_000_001;

/** What makes an example run there and on nothing else, and tell of its listeners. */
function environmentOf({ transport }: Place): Record<string, string> {
  if (transport === 'tcp') return { RDMA_NET: 'off' };
  const log = { NODE_DEBUG: 'rdma-net' };
  return { ...log, RDMA_NET: 'require', RDMA_NET_TRANSPORTS: transport };
}

export function httpServerTests(place: Place, options: { timeout: number }): void {
  const { address, transport } = place;
  const env = environmentOf(place);
  const title = `http-server.js answers over ${transport}, and closes when it is told to`;

  void t.test(title, options, async (t) => {
    const server = Example.node(t, 'http-server.js', [], {
      env: { ...env, HOST: address, PORT: '0' },
    });
    const [, url = ''] = await server.prints(/listening on (http:.*)\n/);
    await server.isReachedOver(transport);
    for (const [page, body] of [
      ['', 'Hello, world!\n'],
      ['300000', 'x'.repeat(300_000)],
    ] as const) {
      const client = Example.node(t, fetchProgram, [`${url}/${page}`], { env });
      const { code, output, errors } = await client.ends();
      t.equal(code, 0, 'it ends well', { errors });
      t.ok(output === `no content-type\n${body}`, `the page /${page}`);
      if (transport !== 'tcp') t.match(errors, new RegExp(`connected over ${transport}`));
    }
    t.match(await server.terminate(), { code: 0 });
  });
}

/** The two figures that file-copy.js prints. */
function figuresOf(output: string, verb: string): { inPlace: number; copied: number } {
  const pattern = new RegExp(`${verb} over .*\n +in place: (\\d+) bytes\n +copied: +(\\d+) bytes`);
  const [, inPlace, copied] = pattern.exec(output) ?? [];
  return { inPlace: Number(inPlace), copied: Number(copied) };
}

export function fileCopyTests(place: Place, options: { timeout: number }): void {
  const { address, transport } = place;
  const env = environmentOf(place);
  const title = `file-copy.js copies a file over ${transport}, and counts what was copied on the way`;

  void t.test(title, options, async (t) => {
    const folder = mkdtempSync(path.join(tmpdir(), 'rdma-net-examples-'));
    t.teardown(() => rmSync(folder, { recursive: true }));
    const [original, copy] = [path.join(folder, 'original'), path.join(folder, 'copy')];
    writeFileSync(original, randomBytes(FILE_BYTES));
    const explicit = { env, preload: false };
    const receiver = Example.node(t, 'file-copy.js', ['receive', copy, address, '0'], explicit);
    const [, port = ''] = await receiver.prints(/listening on .*:(\d+)\n/);
    await receiver.isReachedOver(transport);
    const sender = Example.node(t, 'file-copy.js', ['send', original, address, port], explicit);
    const [sent, received] = await Promise.all([sender.ends(), receiver.ends()]);
    t.equal(sent.code, 0, 'it ends well', { errors: sent.errors });
    t.equal(received.code, 0, 'it ends well', { errors: received.errors });
    t.ok(readFileSync(copy).equals(readFileSync(original)), 'the copy is like the original');
    t.match(sent.output, `sent over ${transport}`);
    t.match(received.output, `received over ${transport}`);
    if (transport === 'tcp') return;

    const [sending, receiving] = [
      figuresOf(sent.output, 'sent'),
      figuresOf(received.output, 'received'),
    ];
    t.comment(sending, receiving);
    t.equal(sending.inPlace + sending.copied, FILE_BYTES, 'all that was sent is counted');
    t.equal(receiving.inPlace + receiving.copied, FILE_BYTES, 'all that was received is counted');
    // The first blocks may leave before the device knows their memory.
    t.ok(sending.inPlace > FILE_BYTES / 4, 'blocks of alloc() were sent in place');
    // What a peer could still change is copied out of shared memory.
    if (transport === 'local') t.equal(receiving.inPlace, 0);
    else t.ok(receiving.inPlace > FILE_BYTES / 2, 'most was received in place');
  });
}
