/** SIGKILL of a client, a server or both in the middle of transfers. */
import { readdirSync, readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { excess, type Held, type Place } from '../rdma/place';
import { Random } from '../rdma/programs/in-place-pattern';
import { LocalProgram, within } from './local-program';

/** KILLS=1000 SEED=7 does more, or the same again. */
const kills = Number(process.env.KILLS ?? 200);
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const CONNECTIONS = 4;
/** The longest transfer is of 2^22 bytes. */
const LOG_BYTES_MAX = 22;
const PATIENCE_MS = 20_000;

/** What happens once: who is killed, by whom, and after how many bytes. */
interface Kill {
  victim: 'client' | 'server' | 'both';
  /** Who counts the bytes: the victim is in the middle of anything if it is the other. */
  by: 'client' | 'server';
  bytes: number;
}

function draw(random: Random): Kill {
  // Two programs are started anew where both are killed: less often than the others.
  const victim = (['client', 'client', 'server', 'server', 'both'] as const)[random.below(5)];
  const by = (['client', 'server'] as const)[random.below(2)];
  const magnitude = random.below(LOG_BYTES_MAX + 1);
  const bytes = random.below(2 ** magnitude + 1);
  return { victim: victim ?? 'client', by: by ?? 'client', bytes };
}

/** The two programs; a new one comes in the place of one that was killed. */
class Streams {
  readonly #place: Place;
  #spare: LocalProgram | undefined;
  client: LocalProgram;
  server: LocalProgram;
  /** Where the server listens, once it does. */
  port: number | undefined;
  readonly ports = new Set<number>();
  /** What a survivor had when it had streamed for the first time. */
  readonly idle = new Map<LocalProgram, Held>();
  readonly endings: Record<string, number> = {};

  constructor(place: Place) {
    this.#place = place;
    this.client = this.start();
    this.server = this.start();
  }

  /** A program that was started ahead, as one takes longer to start than to be killed. */
  start(): LocalProgram {
    const begin = (): LocalProgram => {
      return new LocalProgram('stream-peer', { args: [this.#place.address] });
    };
    const program = this.#spare ?? begin();
    this.#spare = begin();
    return program;
  }

  async end(t: Test): Promise<void> {
    for (const program of [this.client, this.server, this.#spare]) {
      t.match(await program?.end(), { code: 0, stderr: '' });
    }
  }

  /** Streams until the kill, and replaces what was killed. */
  async run(t: Test, { victim, by, bytes }: Kill): Promise<void> {
    if (this.port === undefined) {
      this.server.tell('listen');
      this.port = Number((await this.server.says('listening')).port);
      this.ports.add(this.port);
    }
    const { client, server } = this;
    const index = client.all('streaming').length;
    client.tell(`stream ${this.port} ${CONNECTIONS}`);
    await client.says('streaming', index);
    const [killer, other] = by === 'client' ? [client, server] : [server, client];
    const victims = victim === 'both' ? [other, killer] : [this[victim]];
    killer.tell(`kill-at ${bytes} ${victims.map(({ pid }) => pid).join(' ')}`);
    for (const each of victims) t.equal(await each.ended(), 'SIGKILL');
    if (victim === 'both') [this.client, this.server] = [this.start(), this.start()];
    else if (victim === 'client') this.client = this.start();
    else this.server = this.start();
    if (victim !== 'client') this.port = undefined;
    if (victim === 'client') await this.#checkSurvivor(t, server);
    if (victim === 'server') await this.#checkSurvivor(t, client);
  }

  async #checkSurvivor(t: Test, survivor: LocalProgram): Promise<void> {
    const index = survivor.all('report').length;
    survivor.tell('report');
    const report = await survivor.says('report', index);
    t.match(report, { wrong: 0 }, 'the survivor has got no wrong byte');
    t.same(report.transports, [this.#place.transport]);
    for (const [code, count] of Object.entries(report.errors as Record<string, number>)) {
      t.ok(['ECONNRESET', 'EPIPE'].includes(code), `the survivor has got ${code}`);
      this.endings[code] = (this.endings[code] ?? 0) + count;
    }
    this.endings.end = (this.endings.end ?? 0) + Number(report.ended);
    const idle = this.idle.get(survivor);
    if (idle !== undefined) t.same(await excess(this.#place, [survivor.pid], idle), {});
    else this.idle.set(survivor, await this.#place.idle([survivor.pid]));
  }
}

/** Names of ours in the folder of shared memory. */
function sharedFiles(): string[] {
  return readdirSync('/dev/shm').filter((name) => /rdma/i.test(name));
}

/** Abstract names at which somebody can be met for one of these ports. */
function namesOf(ports: ReadonlySet<number>): string[] {
  const lines = readFileSync('/proc/net/unix', 'latin1').split('\n');
  const names = lines.map((line) => /@rdma-net\/.*/.exec(line)?.[0] ?? '');
  return names.filter((name) => ports.has(Number(/^@rdma-net\/\d+\/(\d+)\//.exec(name)?.[1])));
}

export function killTests(place: Place): void {
  void t.test(
    `after ${kills} kills in the middle of streams nobody has got wrong bytes, hangs, or holds anything`,
    { timeout: 400_000 },
    async (t) => {
      t.comment(`SEED=${seed}`);
      const random = new Random(seed);
      const streams = new Streams(place);
      for (let number = 0; number < kills; number++) {
        const kill = draw(random);
        const what = `kill ${number} of SEED=${seed}: ${JSON.stringify(kill)}`;
        await within(PATIENCE_MS, what, streams.run(t, kill));
        if (!t.passing()) break;
      }
      t.comment('how the connections of survivors ended', streams.endings);
      await streams.end(t);
      t.same(sharedFiles(), []);
      t.same(namesOf(streams.ports), []);
    },
  );
}
