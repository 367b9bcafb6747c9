/** Peers in C over verbs (peers/) that break the rules of rsockets, and odd ones that do not. */
import { existsSync } from 'node:fs';
import t, { type Test } from 'tap';
import { DetailKind } from '../../lib/native';
import { Status } from '../../lib/native-status';
import { headerEnum } from '../native/header-enum';
import {
  floods,
  legalPeers,
  offences,
  refusals,
  writesBehind,
  type Offence,
} from './hostile-scenarios';
import { hostilePeer } from './peers';
import { Child, PATIENT, Program, type Saying } from './program';
import { resourcesBecome } from './resources';

const ADDRESS = '10.77.0.1';
const violations = headerEnum('binding/stream/wire.h', 'Violation');
const required = { RDMA_NET: 'require' };

/** A server with one connection that must not notice anything. */
class Stage {
  readonly server = new Program('hostile-server', { args: [ADDRESS], env: required, shared: true });
  #pulse: Program | undefined;
  /** Connections that there were before the peer of now. */
  #connections = 0;
  #rechecks = 0;

  async port(server: string): Promise<string> {
    return String((await this.server.says(`listening-${server}`)).port);
  }

  async startPulse(t: Test): Promise<void> {
    const args = [ADDRESS, await this.port('echo')];
    this.#pulse = new Program('pulse', { args, env: required, shared: true });
    t.match(await this.#pulse.says('connected'), { transport: 'rdma' });
    await this.server.says('connection');
  }

  /** Lets a peer go on when the server knows it; gives the number of its connection. */
  async connection(peer: Child): Promise<number> {
    await peer.says('established');
    const { number } = await this.server.says('connection', this.#connections);
    peer.tell('go on');
    return number as number;
  }

  get connections(): number {
    return this.server.all('connection').length;
  }

  /** Waits for the end of a connection, and gives all that was said of its failure. */
  async end(number: number): Promise<{ bytes: unknown; failures: Saying[]; errors: Saying[] }> {
    const { bytes } = await this.server.says(`closed-${number}`);
    const failures = this.server.all(`failure-${number}`);
    return { bytes, failures, errors: this.server.all(`error-${number}`) };
  }

  /** What the server `keep` has of its last connection. */
  recheck(): Promise<Saying> {
    this.server.tell('recheck');
    return this.server.says('kept', this.#rechecks++);
  }

  /** Plays a peer against a server, and expects the pulse to go on meanwhile and afterwards. */
  async meet(
    t: Test,
    scenario: string,
    server: string,
    expectations: (peer: Child) => Promise<void>,
  ): Promise<void> {
    const port = await this.port(server);
    this.#connections = this.connections;
    this.#pulse?.tell(`during-${scenario}`);
    const peer = new Child([hostilePeer(), 'connect', scenario, ADDRESS, port]);
    await expectations(peer);
    t.match(await peer.end(), { code: 0, stderr: '' });
    t.ok(await this.#pulse?.says(`beat-during-${scenario}`), 'others carried on meanwhile');
    this.#pulse?.tell(`after-${scenario}`);
    t.ok(await this.#pulse?.says(`beat-after-${scenario}`), 'others carry on');
  }

  /** Expects that nothing is left of all connections but the pulse's. */
  async checkLeft(t: Test): Promise<void> {
    const left = await resourcesBecome([this.server.pid], ({ queuePairs }) => queuePairs === 1);
    t.equal(left.queuePairs, 1, 'only one connection is left');
    await this.#pulse?.end();
    const end = await resourcesBecome([this.server.pid], ({ queuePairs }) => queuePairs === 0);
    t.equal(end.queuePairs, 0);
    t.match(await this.server.end(), { code: 0, stderr: '' });
  }

  kill(): void {
    for (const program of [this.#pulse, this.server]) program?.kill('SIGKILL');
  }
}

/** What the server is to hear of an offence, as the cause of its error. */
function causeOf(offence: Offence): Record<string, unknown> {
  if (offence.violation === undefined) return { code: offence.cause };
  return {
    code: 'ERR_RDMA_PROTOCOL_VIOLATION',
    detail: violations[offence.violation],
    detailKind: DetailKind.Violation,
  };
}

async function testOffence(t: Test, stage: Stage, offence: Offence): Promise<void> {
  await stage.meet(t, offence.scenario, offence.server ?? 'echo', async (peer) => {
    const number = await stage.connection(peer);
    const cause = causeOf(offence);
    const { failures, errors } = await stage.end(number);
    t.match(failures, [cause]);
    t.match(errors, [{ code: offence.code ?? 'EPROTO', cause }]);
    t.equal(errors.length, 1, 'the program has the error once');
    if (offence.completion !== undefined) {
      t.match(await peer.says('completion'), { status: offence.completion });
    }
    if (offence.vanishes !== true) t.ok(await peer.says('disconnected'));
  });
}

/** A peer that writes where it has no business any more: what the program has read stays as it was. */
async function testWritesBehind(t: Test, stage: Stage, scenario: string): Promise<void> {
  await stage.meet(t, scenario, 'keep', async (peer) => {
    const number = await stage.connection(peer);
    const filled = await peer.says('filled');
    stage.server.tell('read');
    // What is broken before it has been read is copied.
    await stage.server.says(`kept-${number}-${Number(filled.bytes)}`);
    peer.tell('write behind');
    await peer.says('attempts');
    const { errors } = await stage.end(number);
    const kept = await stage.recheck();
    t.ok(Number(kept.bytes) >= Number(filled.bytes), 'the program has all that was filled');
    t.equal(kept.changed, 0, 'no byte that it has has changed');
    // Else it would prove nothing: copies do not change.
    t.ok(Number(filled.bufferBytes) > Number(filled.firstBytes), 'a large buffer was published');
    const { bytesReceivedInPlace } = kept.counters as { bytesReceivedInPlace?: number };
    t.ok(Number(bytesReceivedInPlace) > 0, 'the program has been given the buffers themselves');
    t.match(await peer.says('completion'), { status: 'remote access error' });
    t.match(errors, [{ code: 'ECONNRESET' }]);
  });
}

async function testServers(t: Test): Promise<void> {
  const stage = new Stage();
  t.teardown(() => stage.kill());
  await stage.startPulse(t);

  for (const scenario of refusals) {
    await t.test(`a client's ${scenario.what} is refused`, PATIENT, async (t) => {
      const before = stage.connections;
      await stage.meet(t, scenario.scenario, 'echo', async (peer) => {
        t.match(await peer.says('refused'), { how: 'RDMA_CM_EVENT_REJECTED' });
      });
      t.equal(stage.connections, before, 'the program has not heard of it');
    });
  }
  for (const offence of [...offences, ...floods]) {
    await t.test(offence.sentence, PATIENT, (t) => testOffence(t, stage, offence));
  }
  for (const { scenario, sentence } of legalPeers) {
    await t.test(sentence, PATIENT, async (t) => {
      await stage.meet(t, scenario, 'echo', async (peer) => {
        const number = await stage.connection(peer);
        const { bytes, wrong } = await peer.says('echoed');
        t.same({ bytes, wrong }, { bytes: 300_000, wrong: 0 });
        t.same(await stage.end(number), { bytes: 300_000, failures: [], errors: [] });
      });
    });
  }
  for (const { scenario, sentence } of writesBehind) {
    await t.test(sentence, PATIENT, (t) => testWritesBehind(t, stage, scenario));
  }
  await t.test('nothing is left of all these peers', PATIENT, (t) => stage.checkLeft(t));
}

async function testClients(t: Test): Promise<void> {
  const plain = new Program('echo-server', {
    args: ['0', ADDRESS],
    env: { RDMA_NET: 'off' },
    shared: true,
  });
  const demanding = new Program('client', { env: required, shared: true });
  const lenient = new Program('client', { env: { RDMA_NET_PEER_MEMORY_MS: '0' }, shared: true });
  const programs = [plain, demanding, lenient];
  t.teardown(() => programs.forEach((program) => program.kill('SIGKILL')));
  const port = String((await plain.says('listening')).port);
  await demanding.says('ready');
  await lenient.says('ready');

  for (const [index, { scenario, what, violation }] of refusals.entries()) {
    /** A peer that listens on RDMA where the plain server does on TCP, for one connection. */
    const listen = async (): Promise<Child> => {
      const peer = new Child([hostilePeer(), 'listen', scenario, ADDRESS, port]);
      await peer.says('listening');
      return peer;
    };
    await t.test(`a server's ${what} is an error where RDMA is required`, PATIENT, async (t) => {
      const peer = await listen();
      demanding.tell(`connect ${ADDRESS} ${port}`);
      const cause = { status: Status.IncompatiblePeer, detail: violations[violation] };
      t.match(await demanding.says('failed', index), { code: 'EPROTO', cause });
      await peer.says('refused');
      t.match(await peer.end(), { code: 0, stderr: '' });
    });
    await t.test(`a server's ${what} leads to TCP elsewhere`, PATIENT, async (t) => {
      const peer = await listen();
      lenient.tell(`connect ${ADDRESS} ${port}`);
      const expected = { transport: 'tcp', reason: 'peer-incompatible' };
      t.match(await lenient.says('connected', index), expected);
      await peer.says('refused');
      t.match(await peer.end(), { code: 0, stderr: '' });
    });
  }
  for (const program of programs) t.match(await program.end(), { code: 0, stderr: '' });
}

export function hostileTests(): void {
  if (!existsSync(hostilePeer())) {
    // Whoever boots the guest builds it before, and fails in CI when that cannot be done.
    t.pass('hostile peers', { skip: `${hostilePeer()} is missing: make -C test/rdma/peers` });
    return;
  }
  // Each of their tests has a limit of its own.
  const patience = { timeout: 0 };
  void t.test('servers meet peers that break the rules, or are odd', patience, testServers);
  void t.test('clients meet servers that break the rules', patience, testClients);
}
