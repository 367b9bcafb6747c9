import t from 'tap';
import { isLoopback, isUnspecified, unmapped } from '../../lib/address';
import { theBinding } from '../../lib/binding';
import { copyEndpoint } from '../../lib/endpoint';
import {
  ConfigurationError,
  RdmaError,
  attachCause,
  systemError,
  uvErrnoOf,
} from '../../lib/errors';
import { changeSettings, readEnvironment, settings } from '../../lib/mode';
import { DetailKind } from '../../lib/native';
import { Status } from '../../lib/native-status';
import { PeerMemory } from '../../lib/peers';
import { reasonCodeOf, reasonFor, reasons } from '../../lib/reasons';

t.test('the environment sets the mode, the head start and the memory', (t) => {
  readEnvironment({ RDMA_NET: 'require', RDMA_NET_HEAD_START_MS: '0' });
  t.equal(settings.mode, 'require');
  t.equal(settings.headStartMs, 0);
  readEnvironment({ RDMA_NET: '', RDMA_NET_PEER_MEMORY_MS: '1000' });
  t.equal(settings.mode, 'require', 'empty is as good as unset');
  t.equal(settings.peerMemoryMs, 1000);
  changeSettings({ mode: 'prefer', headStartMs: 50, peerMemoryMs: 60_000 });
  t.end();
});

t.test('the environment sets transports and spinning', (t) => {
  t.strictSame(settings.transports, ['local', 'rdma']);
  readEnvironment({ RDMA_NET_TRANSPORTS: 'rdma', RDMA_NET_SPIN_US: '1000' });
  t.strictSame(settings.transports, ['rdma']);
  t.equal(settings.spinMicroseconds, 1000);
  readEnvironment({ RDMA_NET_TRANSPORTS: 'rdma, local' });
  t.strictSame(settings.transports, ['local', 'rdma'], 'the order is always the same');
  changeSettings({ transports: ['local'], spinMicroseconds: 0 });
  t.strictSame(settings.transports, ['local']);
  changeSettings({ transports: ['local', 'rdma'] });
  t.end();
});

t.test('the environment and configure() switch the endpoint for status', (t) => {
  readEnvironment({ RDMA_NET_STATUS: 'off' });
  t.equal(settings.status, 'off');
  readEnvironment({ RDMA_NET_STATUS: '' });
  t.equal(settings.status, 'off', 'empty is as good as unset');
  changeSettings({ status: 'on' });
  t.equal(settings.status, 'on');
  const expected = 'RDMA_NET_STATUS is "no"; expected "on" or "off"';
  t.throws(() => readEnvironment({ RDMA_NET_STATUS: 'no' }), new ConfigurationError(expected));
  t.end();
});

t.test('a mistake is an error that names what was found and what was expected', (t) => {
  const mistakes: [() => void, string][] = [
    [
      () => readEnvironment({ RDMA_NET: 'perfer' }),
      'RDMA_NET is "perfer"; expected "prefer", "require" or "off"',
    ],
    [
      () => readEnvironment({ RDMA_NET_HEAD_START_MS: '50ms' }),
      'RDMA_NET_HEAD_START_MS is "50ms"; expected a whole number from 0 to 60000',
    ],
    [
      () => changeSettings({ headStartMs: -1 }),
      'headStartMs is -1; expected a whole number from 0 to 60000',
    ],
    [
      () => changeSettings({ mode: true } as never),
      'mode is true; expected "prefer", "require" or "off"',
    ],
    [
      () => readEnvironment({ RDMA_NET_TRANSPORTS: 'local,tcp' }),
      'RDMA_NET_TRANSPORTS is "local,tcp"; expected a list of "local" and "rdma"',
    ],
    [
      () => changeSettings({ transports: [] }),
      'transports is []; expected a list of "local" and "rdma"',
    ],
    [
      () => changeSettings({ transports: 'rdma' } as never),
      'transports is "rdma"; expected a list of "local" and "rdma"',
    ],
    [
      () => readEnvironment({ RDMA_NET_SPIN_US: '1001' }),
      'RDMA_NET_SPIN_US is 1001; expected a whole number from 0 to 1000',
    ],
    [
      () => changeSettings({ pinnedBytesMax: 2 ** 50 + 1 }),
      'pinnedBytesMax is 1125899906842625; expected a whole number from 1048576 to 1125899906842624',
    ],
    ...(
      [
        [undefined, 'undefined'],
        [null, 'null'],
        [5, '5'],
        ['off', '"off"'],
        [[], '[]'],
      ] as const
    ).map(([given, shown]): [() => void, string] => [
      () => changeSettings(given as never),
      `configure() is given ${shown}; expected an object such as { mode: 'prefer' }`,
    ]),
    [
      () => changeSettings({ headStart: 5 } as never),
      '"headStart" is not a setting; expected one of mode, transports, rules, ' +
        'headStartMs, peerMemoryMs, peerMemoryCount, receiveBufferBytes, sendBufferBytes, pinnedBytesMax, ' +
        'queuePairsMax, spinMicroseconds',
    ],
  ];
  for (const [mistake, message] of mistakes) {
    t.throws(mistake, new ConfigurationError(message));
  }
  t.end();
});

t.test('the addon takes the least and the most that each number may be', (t) => {
  const given = [
    'receiveBufferBytes',
    'sendBufferBytes',
    'pinnedBytesMax',
    'queuePairsMax',
    'spinMicroseconds',
  ] as const;
  const before = { ...settings, rules: [] };
  for (const name of given) {
    let message = '';
    try {
      changeSettings({ [name]: -1 });
    } catch (error) {
      message = String(error);
    }
    const [, least, most] = /from (\d+) to (\d+)$/.exec(message) ?? [];
    for (const value of [Number(least), Number(most)]) {
      changeSettings({ [name]: value });
      const make = (): unknown =>
        theBinding()?.createTransport('local', () => false, { [name]: value });
      t.ok(make(), `${name}: ${value}`);
    }
    t.throws(() => changeSettings({ [name]: Number(most) + 1 }), { name: 'ConfigurationError' });
  }
  changeSettings(before);
  t.end();
});

t.test('a mistake changes nothing', (t) => {
  t.throws(() => changeSettings({ headStartMs: 10, peerMemoryMs: 1.5 }));
  t.equal(settings.headStartMs, 50);
  t.end();
});

t.test('peers are remembered by port or by address, until they expire', (t) => {
  let nowMs = 0;
  const limits = { peerMemoryMs: 100, peerMemoryCount: 10 };
  const memory = new PeerMemory(limits, () => nowMs);
  const refused = reasonFor('peer-refused');
  const silent = reasonFor('peer-silent');
  memory.remember('10.0.0.1', 80, refused);
  memory.remember('10.0.0.2', undefined, silent);
  t.equal(memory.recall('10.0.0.1', 80), refused);
  t.equal(memory.recall('10.0.0.1', 81), undefined);
  t.equal(memory.recall('10.0.0.2', 81), silent);
  nowMs = 99;
  t.equal(memory.recall('10.0.0.1', 80), refused);
  nowMs = 100;
  t.equal(memory.recall('10.0.0.1', 80), undefined);
  t.equal(memory.recall('10.0.0.2', 81), undefined);
  t.equal(memory.count, 0);
  t.end();
});

t.test('the memory of peers is bounded, and forgets what was not asked for longest', (t) => {
  const memory = new PeerMemory({ peerMemoryMs: 100, peerMemoryCount: 3 }, () => 0);
  const refused = reasonFor('peer-refused');
  for (const port of [1, 2, 3]) memory.remember('10.0.0.1', port, refused);
  memory.recall('10.0.0.1', 1);
  memory.remember('10.0.0.1', 4, refused);
  t.equal(memory.count, 3);
  t.strictSame(
    [1, 2, 3, 4].map((port) => memory.recall('10.0.0.1', port)?.code),
    ['peer-refused', undefined, 'peer-refused', 'peer-refused'],
  );
  memory.forget('10.0.0.1', 4);
  t.equal(memory.recall('10.0.0.1', 4), undefined);
  t.end();
});

t.test('a memory of no length remembers nothing', (t) => {
  const memory = new PeerMemory({ peerMemoryMs: 0, peerMemoryCount: 3 }, () => 0);
  memory.remember('10.0.0.1', 1, reasonFor('peer-refused'));
  t.equal(memory.count, 0);
  t.end();
});

t.test('every status that fails all of RDMA has a reason of its own', (t) => {
  const general = Object.values(Status).filter((status) => status >= 200);
  const codes = new Set(general.map(reasonCodeOf));
  t.equal(codes.size, general.length);
  t.notOk(codes.has('connection-failed'));
  for (const { text } of Object.values(reasons)) t.match(text, /^[A-Zl].*\.$/);
  t.end();
});

t.test('errors look like those of net', (t) => {
  const cause = new RdmaError(Status.HostUnreachable, 110, DetailKind.Errno);
  t.equal(cause.message, 'HostUnreachable (ETIMEDOUT)');
  t.equal(cause.code, 'ERR_RDMA_HOST_UNREACHABLE');
  t.equal(
    new RdmaError(Status.ConnectionRefused, 8, DetailKind.CmStatus).message,
    'ConnectionRefused (connection manager status 8)',
  );
  const error = systemError(uvErrnoOf(Status.HostUnreachable), 'connect', '10.0.0.1', 80, cause);
  t.equal(error.message, 'connect EHOSTUNREACH: host is unreachable 10.0.0.1:80');
  t.match(error, { code: 'EHOSTUNREACH', errno: -113, address: '10.0.0.1', port: 80, cause });
  const other = new Error('other');
  attachCause(other, cause);
  attachCause(other, new Error('later'));
  attachCause(undefined, cause);
  t.equal(other.cause, cause);
  t.strictSame(Object.keys(other), [], 'it is not enumerable, as the cause of an Error');
  t.end();
});

t.test('loopback addresses are known, and those that stand for all', (t) => {
  const own = ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1', '::FFFF:7f00:1', '0::1'];
  const all = ['0.0.0.0', '::', '::0', '0:0::', '::ffff:0.0.0.0'];
  const others = ['128.0.0.1', '10.127.0.1', '::2', '::ffff:10.0.0.1', 'fe80::1%lo', '::1%lo'];
  for (const address of [...own, ...all, ...others]) {
    t.equal(isLoopback(unmapped(address)), own.includes(address), address);
    t.equal(isUnspecified(unmapped(address)), all.includes(address), address);
  }
  t.end();
});

t.test('an IPv6 address that stands for an IPv4 address is that address', (t) => {
  for (const [address, same] of [
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['::FFFF:A00:1', '10.0.0.1'],
    ['0:0:0:0:0:ffff:10.0.0.1', '10.0.0.1'],
    ['10.0.0.1', '10.0.0.1'],
    ['64:ff9b::10.0.0.1', '64:ff9b::10.0.0.1'],
    ['fe80::1%eth0', 'fe80::1%eth0'],
    ['fd77::1', 'fd77::1'],
  ] as const) {
    t.equal(unmapped(address), same);
  }
  const shown = { address: '::ffff:10.0.0.1', port: 1, family: 'IPv6' } as const;
  for (const endpoint of [{ address: '10.0.0.1', port: 1, family: 'IPv4' } as const, shown]) {
    const out = {};
    t.equal(copyEndpoint(out, endpoint, true), 0);
    t.strictSame(out, shown);
  }
  t.end();
});
