/** The same scenarios with plain net and with ours: what they show has to be the same. */
import path from 'node:path';
import t from 'tap';
import { Program } from '../rdma/program';
import { expected } from './differences';
import type { StagePlace } from './stage';
import type { Lanes } from './transcript';

interface Played {
  name: string;
  lanes: Lanes;
  onTcp: boolean;
  onAny: boolean;
  acceptedCount: number;
  transports: (string | null)[];
}

const program = path.join(__dirname, 'program');

async function playAll(
  place: StagePlace,
  env: Record<string, string>,
  wanted: string[],
): Promise<Map<string, Played>> {
  const { transport, address, wildcard } = place;
  const child = new Program(program, {
    args: [transport, address, wildcard, ...wanted],
    env,
    preload: env.RDMA_NET !== 'off',
    flags: ['--expose-gc', '--no-warnings'],
  });
  await child.says('done');
  const { code, stderr } = await child.end();
  if (code !== 0) throw new Error(`the scenarios ended with status ${code}: ${stderr}`);
  const played = child.all('played') as unknown as Played[];
  return new Map(played.map((each) => [each.name, each]));
}

/**
 * Compares sockets of a place with plain net.
 * @param modes in which ours are tried
 */
export function conformanceTests(
  place: StagePlace,
  modes: ('require' | 'prefer')[],
  wanted: string[] = [],
): void {
  const { transport } = place;
  const seconds = transport === 'rdma' ? 300 : 120;
  void t.test(
    `over ${transport} net behaves as it does`,
    { timeout: seconds * 1000 },
    async (t) => {
      const environments = [
        { RDMA_NET: 'off' },
        ...modes.map((mode) => ({ RDMA_NET: mode, RDMA_NET_TRANSPORTS: transport })),
      ];
      const [plain, ...ours] = await Promise.all(
        environments.map((env) => playAll(place, env, wanted)),
      );
      t.ok(plain !== undefined && plain.size > 0, 'there are scenarios');
      for (const [index, mode] of modes.entries()) {
        const played = [...(ours[index]?.values() ?? [])];
        t.same(
          played.map(({ name }) => name),
          [...(plain?.keys() ?? [])],
          'all were played',
        );
        for (const { name, lanes, onTcp, onAny, acceptedCount, transports } of played) {
          t.test(`${name} (${mode})`, (t) => {
            t.strictSame(lanes, expected(name, plain?.get(name)?.lanes ?? {}));
            const wanted = onTcp ? ['tcp', null, ...(onAny ? [transport] : [])] : [transport];
            t.same(
              transports.filter((each) => !wanted.includes(each)),
              [],
              `the sockets were ${wanted.join()}`,
            );
            if (acceptedCount > 0) t.ok(transports.length > 0, 'it had connections');
            t.end();
          });
        }
      }
    },
  );
}
