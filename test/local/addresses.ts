/** Where a server is found: at the addresses where TCP finds it, and with the same names of both ends. */
import os from 'node:os';
import t, { type Test } from 'tap';
import type { Place } from '../rdma/place';
import { LocalProgram } from './local-program';

/** Addresses of this machine, and ways to write them. */
function ownAddresses(): string[] {
  const own = Object.entries(os.networkInterfaces()).flatMap(([name, addresses]) =>
    (addresses ?? []).map(({ address, scopeid }) => (scopeid ? `${address}%${name}` : address)),
  );
  const others = ['127.0.0.2', '::ffff:127.0.0.1', 'localhost', '0.0.0.0', '::'];
  return [...new Set(['127.0.0.1', '::1', ...own, ...others])];
}

/** What servers may listen on: one of each kind that this machine has. */
function listenOptions(): Record<string, unknown>[] {
  const outside = Object.values(os.networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, scopeid }) => !internal && !scopeid);
  const one = (family: string) => outside.find((each) => each.family === family)?.address;
  const hosts = ['127.0.0.1', '::1', '0.0.0.0', '::', 'localhost', one('IPv4'), one('IPv6')];
  return [
    {},
    ...hosts.filter((host) => host !== undefined).map((host) => ({ host })),
    { host: '::', ipv6Only: true },
    { host: '127.0.0.2' },
  ];
}

interface Called {
  host: string;
  code?: string;
  transport?: string;
  client?: Record<string, unknown>;
  server?: Record<string, unknown>;
}

/** A call without the ports that differ each time, once it is known that they fit together. */
function comparable(t: Test, called: Called, port: number): Record<string, unknown> {
  const { host, code, client, server } = called;
  if (client === undefined || server === undefined) return { host, code };
  t.equal(client.remotePort, port, 'the client knows the port of the server');
  t.equal(server.localPort, port, 'the server knows its port');
  t.equal(server.remotePort, client.localPort, 'both know the port of the client');
  t.ok(Number(client.localPort) > 0, 'which is one');
  const strip = ({ localAddress, localFamily, remoteAddress, remoteFamily }: typeof client) => {
    return { localAddress, localFamily, remoteAddress, remoteFamily };
  };
  return { host, client: strip(client), server: strip(server) };
}

/** Calls a server at all addresses. */
async function callAll(
  t: Test,
  env: Record<string, string>,
  options: Record<string, unknown>,
): Promise<{ results: Record<string, unknown>[]; transports: Set<unknown> }> {
  const server = new LocalProgram('caller', { env });
  server.tell(`listen ${JSON.stringify({ ...options, port: 0 })}`);
  const port = Number((await server.says('listening')).port);
  const client = new LocalProgram('caller', { env });
  const results: Record<string, unknown>[] = [];
  const transports = new Set<unknown>();
  for (const [index, address] of ownAddresses().entries()) {
    client.tell(`call ${address} ${port}`);
    const called = (await client.says('called', index)) as unknown as Called;
    results.push(comparable(t, called, port));
    if (called.client !== undefined) transports.add(called.transport).add(called.server?.transport);
  }
  for (const program of [client, server]) t.match(await program.end(), { code: 0, stderr: '' });
  return { results, transports };
}

export function addressTests({ transport }: Place): void {
  for (const options of listenOptions()) {
    void t.test(
      `a server that listens with ${JSON.stringify(options)} is found where TCP finds it`,
      { timeout: 60_000 },
      async (t) => {
        const tcp = await callAll(t, { RDMA_NET: 'off' }, options);
        const ours = await callAll(t, {}, options);
        t.ok(tcp.transports.size > 0, 'it was found somewhere');
        t.same(ours.transports, new Set([transport]));
        t.same(ours.results, tcp.results);
      },
    );
  }
}
