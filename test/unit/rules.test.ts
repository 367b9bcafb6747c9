import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t from 'tap';
import { ConfigurationError } from '../../lib/errors';
import { changeSettings, readEnvironment, settings } from '../../lib/mode';
import { matchRule, type RuleObject, type RuleQuestion } from '../../lib/rule';
import { checkRules } from '../../lib/rule-object';

/** The parts of a rule that can be compared. */
function parsed(rules: unknown): unknown[] {
  return checkRules('rules', rules).map((rule) => {
    const { text, line, direction, ports, mode, tls, transports } = rule;
    return [line, text, direction, ports.join('-'), mode ?? '', tls, transports.join()];
  });
}

t.test('rules say whom they are about, and what these may use', (t) => {
  const good: [text: string, ...unknown[]][] = [
    ['connect 10.0.0.0/8:* rdma', 'connect', '0-65535', '', false, 'rdma'],
    ['listen *:6379 local,rdma,tcp', 'listen', '6379-6379', 'prefer', false, 'local,rdma'],
    ['connect *.db.internal:5432 require rdma', 'connect', '5432-5432', 'require', false, 'rdma'],
    ['program worker.js connect * tcp', 'connect', '0-65535', 'prefer', false, ''],
    ['* *:8000-8999 rdma , local', '*', '8000-8999', '', false, 'rdma,local'],
    ['connect [fd00::1]:1024-* prefer local', 'connect', '1024-65535', 'prefer', false, 'local'],
    ['listen [::] tls local', 'listen', '0-65535', '', true, 'local'],
    ['connect localhost:80 require tls rdma', 'connect', '80-80', 'require', true, 'rdma'],
    ['connect a:80\ttls require rdma,local', 'connect', '80-80', 'require', true, 'rdma,local'],
    ['connect [fd00::]/8:80 rdma,tcp', 'connect', '80-80', 'prefer', false, 'rdma'],
  ];
  for (const [text, ...expected] of good) {
    t.strictSame(parsed(text), [[1, text, ...expected]], text);
  }
  t.end();
});

t.test('rules stand on lines or between semicolons, with comments and empty lines', (t) => {
  const text = '\uFEFF# all\r\n\n  connect * tcp # a; comment\r\n;listen * rdma;; * * local ;\n';
  t.strictSame(
    parsed(text).map((rule) => (rule as unknown[]).slice(0, 2)),
    [
      [3, 'connect * tcp'],
      [4, 'listen * rdma'],
      [4, '* * local'],
    ],
  );
  t.strictSame(parsed(''), []);
  t.strictSame(parsed([]), []);
  t.end();
});

t.test('a rule can be an object, and means what its text means', (t) => {
  const pairs: [RuleObject, string][] = [
    [{ transports: 'tcp' }, '* *:* tcp'],
    [{ transports: ['rdma', 'local', 'tcp'], port: 80 }, '* *:80 rdma,local,tcp'],
    [
      { direction: 'listen', host: 'fd00::/8', port: '1-2', tls: true, transports: ['rdma'] },
      'listen [fd00::]/8:1-2 tls rdma',
    ],
    [
      { direction: 'connect', host: '*.internal', mode: 'require', transports: 'rdma' },
      'connect *.internal:* require rdma',
    ],
    [
      { program: 'a*.js', direction: '*', host: '10.0.0.1', transports: 'local' },
      'program a*.js * 10.0.0.1:* local',
    ],
  ];
  for (const [object, text] of pairs) t.strictSame(parsed([object]), parsed([text]), text);
  const rule = checkRules('rules', ['* * tcp', { transports: 'tcp' }])[1];
  t.match(rule, { source: 'rules[1]', line: 1 });
  t.end();
});

const HOSTS = /expected "\*", "localhost", an address such as 10\.0\.0\.1 or/;
const PORTS = 'expected a port from 1 to 65535, a range such as 8000-8999, or "*"';
const ANY = 'expected "require", "prefer", "tls", "local", "rdma" or "tcp"';

t.test('a mistake names line, column, what was found and what was expected', (t) => {
  const bad: [text: string, place: string, found: string, expected: string | RegExp][] = [
    ['conect * rdma', '1, column 1', '"conect"', 'expected "connect", "listen", "*" or "program"'],
    ['\n  connect', '2, column 10', 'its end', 'expected a host and ports, such as 10.0.0.0/8:*'],
    ['connect *:80 rmda', '1, column 14', '"rmda"', ANY],
    ['connect *:80', '1, column 13', 'its end', ANY],
    ['connect * rdma; listen * tdp', '1, column 26', '"tdp"', ANY],
    ['connect *:80 rdma tcp', '1, column 19', '"tcp"', 'expected "," or the end of the rule'],
    ['connect * rdma,', '1, column 16', 'its end', 'expected "local" or "tcp"'],
    ['connect * rdma,rdma', '1, column 16', '"rdma"', 'expected "local" or "tcp"'],
    [
      'connect * tcp,rdma',
      '1, column 14',
      '","',
      'expected the end of the rule: "tcp" is the last',
    ],
    ['connect * local,rdma,tcp,', '1, column 25', '","', /"tcp" is the last$/],
    ['connect * require rdma,tcp', '1, column 24', '"tcp"', 'expected "local"'],
    ['connect * require local,rdma,', '1, column 29', '","', 'expected the end of the rule'],
    ['connect * require tcp', '1, column 19', '"tcp"', 'expected "tls", "local" or "rdma"'],
    ['connect * tls tcp', '1, column 15', '"tcp"', /expected "require", "prefer", "local" or/],
    ['connect * prefer require rdma', '1, column 18', '"require"', /expected "tls", "local" or/],
    ['connect , rdma', '1, column 9', '","', /expected a host and ports/],
    ['program worker.js', '1, column 18', 'its end', 'expected "connect", "listen" or "*"'],
    ['program', '1, column 8', 'its end', 'expected the name of a script'],
    ['connect 10.0.0.0/33:* rdma', '1, column 18', '"33"', 'a number of bits from 0 to 32'],
    ['connect [fd00::]/129 rdma', '1, column 18', '"129"', 'a number of bits from 0 to 128'],
    ['connect 10.0.0.0/:80 rdma', '1, column 18', '""', 'a number of bits from 0 to 32'],
    ['connect 10.0.0.*:80 rdma', '1, column 9', '"10.0.0.*"', HOSTS],
    ['connect 10.0.0.256 rdma', '1, column 9', '"10.0.0.256"', HOSTS],
    ['connect a/8 rdma', '1, column 9', '"a/8"', HOSTS],
    ['connect [10.0.0.1] rdma', '1, column 9', '"[10.0.0.1]"', HOSTS],
    ['connect :80 rdma', '1, column 9', '""', HOSTS],
    ['connect a..b rdma', '1, column 9', '"a..b"', HOSTS],
    ['connect [fe80::1%eth0]:80 rdma', '1, column 9', '"[fe80::1%eth0]"', HOSTS],
    ['connect fd00::1:80 rdma', '1, column 9', '"fd00::1:80"', /expected IPv6 in brackets/],
    ['connect *:0 rdma', '1, column 11', '"0"', PORTS],
    ['connect *:65536 rdma', '1, column 11', '"65536"', PORTS],
    ['connect *:90-80 rdma', '1, column 11', '"90-80"', PORTS],
    ['connect *: rdma', '1, column 11', 'its end', PORTS],
    ['listen db.internal:80 rdma', '1, column 8', '"db.internal:80"', /only rules for connect can/],
    ['* *.internal rdma', '1, column 3', '"*.internal"', /only rules for connect can/],
  ];
  for (const [text, place, found, expected] of bad) {
    const error = whatThrows(() => checkRules('rules', text));
    t.ok(error.message.startsWith(`rules, line ${place}: found ${found}; `), error.message);
    t.match(error.message, expected, text);
  }
  t.end();
});

t.test('a mistake in an object names its field', (t) => {
  const bad: [unknown, string | RegExp][] = [
    [5, 'rules is 5; expected text with rules, or a list of rules'],
    [[5], 'rules[0] is 5; expected a rule: text or an object'],
    [['* * tcp', '* * tdp'], /^rules\[1\], line 1, column 5: found "tdp"; expected "require"/],
    [[{}], 'rules[0].transports is undefined; expected a list of "local", "rdma" and "tcp"'],
    [[{ transports: [] }], /^rules\[0\]\.transports: found its end; expected "require"/],
    [[{ transports: 'udp' }], /^rules\[0\]\.transports: found "udp"; expected "require"/],
    [
      [{ transports: ['tcp', 'rdma'] }],
      'rules[0].transports: found ","; expected the end of the rule: "tcp" is the last',
    ],
    [
      [{ transports: 'tcp', hosts: '*' }],
      'rules[0] has "hosts"; expected only program, direction, host, port, mode, tls, transports',
    ],
    [
      [{ transports: 'tcp', direction: 'both' }],
      'rules[0].direction is "both"; expected "connect", "listen" or "*"',
    ],
    [[{ transports: 'tcp', direction: 1 }], /^rules\[0\]\.direction is 1; expected/],
    [[{ transports: 'tcp', host: 'a b' }], /^rules\[0\]\.host is "a b"; expected "\*"/],
    [[{ transports: 'tcp', host: 5 }], /^rules\[0\]\.host is 5; expected "\*"/],
    [[{ transports: 'tcp', host: null }], 'rules[0].host is null; expected text'],
    [
      [{ transports: 'tcp', host: 'a' }],
      /^rules\[0\]\.host: found "a:\*"; .*only rules for connect/,
    ],
    [[{ transports: 'tcp', port: 0 }], `rules[0].port is 0; ${PORTS}`],
    [
      [{ transports: 'rdma', mode: 'off' }],
      'rules[0].mode is "off"; expected "prefer" or "require"',
    ],
    [[{ transports: 'rdma', tls: 1 }], 'rules[0].tls is 1; expected true or false'],
    [
      [{ transports: 'rdma', program: '' }],
      'rules[0].program is ""; expected the name of a script',
    ],
    ['* * tcp\n'.repeat(1001), 'rules has 1001 rules; expected 1000 at most'],
  ];
  for (const [value, expected] of bad) {
    t.match(whatThrows(() => checkRules('rules', value)).message, expected);
  }
  t.end();
});

function whatThrows(body: () => unknown): Error {
  try {
    body();
  } catch (error) {
    if (error instanceof ConfigurationError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

type Place = Partial<RuleQuestion> | string;

/** A question about an address, or what is given of it. */
function about(place: Place): RuleQuestion {
  const base = { direction: 'connect', name: undefined, address: '10.0.0.1', port: 80 } as const;
  return { ...base, ...(typeof place === 'string' ? { address: place } : place) };
}

t.test('a rule matches the endpoints it is about, and no others', (t) => {
  const table: [rule: string, matching: Place[], other: Place[]][] = [
    [
      '10.0.0.0/8',
      ['10.0.0.0', '10.255.255.255', '::ffff:10.1.2.3'],
      ['11.0.0.0', '9.9.9.9', '::'],
    ],
    ['10.1.2.3/8', ['10.9.9.9'], ['11.1.2.3']],
    ['10.0.0.1', ['10.0.0.1', '::FFFF:10.0.0.1'], ['10.0.0.2']],
    ['0.0.0.0/0', ['1.2.3.4', '::ffff:1.2.3.4'], ['::1', 'fd00::1']],
    ['[::]/0', ['::1', 'fe80::1%eth0'], ['1.2.3.4', '::ffff:1.2.3.4']],
    ['[fd00::/8]', [], []],
    ['[fe80::]/10', ['fe80::1', 'fe80::1%eth0', 'febf::'], ['fec0::1', 'fd00::1', '10.0.0.1']],
    ['[fd00::1]', ['fd00::1', 'fd00:0::1'], ['fd00::2']],
    ['*', ['10.0.0.1', '::1', { name: 'a' }], []],
    [
      'localhost',
      ['127.0.0.1', '127.1.2.3', '::1', { name: 'localhost' }, { name: 'a.LocalHost.' }],
      ['10.0.0.1', { name: 'notlocalhost' }],
    ],
    [
      '*.db.internal',
      [{ name: 'a.db.internal' }, { name: 'A.B.DB.Internal.' }],
      [
        '10.0.0.1',
        { name: 'db.internal' },
        { name: 'a.db.internal.org' },
        { name: 'axdb.internal' },
      ],
    ],
    ['DB-*.internal.', [{ name: 'db-1.internal' }], [{ name: 'db.internal' }]],
    ['*:80', [{ port: 80 }], [{ port: 79 }, { port: 81 }]],
    ['*:80-82', [{ port: 80 }, { port: 82 }], [{ port: 79 }, { port: 83 }]],
    ['*:80-*', [{ port: 80 }, { port: 65_535 }], [{ port: 79 }]],
    ['10.0.0.1:80', [{ port: 80 }], [{ port: 81 }, { address: '10.0.0.2', port: 80 }]],
  ];
  for (const [target, matching, other] of table) {
    if (matching.length === 0) {
      t.throws(() => checkRules('rules', `connect ${target} tcp`), ConfigurationError);
      continue;
    }
    const rules = checkRules('rules', `connect ${target} tcp`);
    for (const one of matching) t.ok(matchRule(rules, about(one)), `${target} ${show(one)}`);
    for (const one of other) t.notOk(matchRule(rules, about(one)), `${target} not ${show(one)}`);
  }
  t.end();
});

function show(value: unknown): string {
  return JSON.stringify(value);
}

t.test('the direction counts, and the first rule that matches', (t) => {
  const rules = checkRules('rules', 'listen * tcp; connect 10.0.0.0/8 rdma; * *:80 local');
  const lines = (question: Partial<RuleQuestion>) => matchRule(rules, about(question))?.text;
  t.equal(lines({ direction: 'listen' }), 'listen * tcp');
  t.equal(lines({ direction: 'connect' }), 'connect 10.0.0.0/8 rdma');
  t.equal(lines({ address: '11.0.0.1' }), '* *:80 local');
  t.equal(lines({ address: '11.0.0.1', port: 81 }), undefined);
  t.end();
});

t.test('a rule can be for programs of a name', (t) => {
  const before = process.argv[1] ?? '';
  const matches = (program: string, script: string): boolean => {
    process.argv[1] = script;
    return matchRule(checkRules('rules', `program ${program} * * tcp`), about({})) !== undefined;
  };
  t.equal(matches('worker.js', '/app/worker.js'), true);
  t.equal(matches('worker', '/app/worker.js'), true);
  t.equal(matches('worker.js', '/app/worker.js/other.js'), false);
  t.equal(matches('worker.js', '/app/workerxjs'), false);
  t.equal(matches('w?rk*', '/app/worker.js'), true);
  t.equal(matches('/app/*.js', '/app/lib/worker.js'), true);
  t.equal(matches('/lib/*.js', '/app/lib/worker.js'), false);
  t.equal(matches('*', ''), true);
  t.equal(matches('worker.js', ''), false);
  const rules = checkRules('rules', 'program worker.js * * tcp');
  process.argv[1] = '/pm2/container.js';
  t.equal(matchRule(rules, about({})), undefined);
  process.argv[1] = '/app/worker.js';
  t.ok(matchRule(rules, about({})), 'also when the name changes later');
  process.argv[1] = before;
  t.end();
});

t.test('rules come from the environment and a file, in this order', (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'rdma-net-rules-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  t.teardown(() => changeSettings({ rules: [] }));
  const file = path.join(folder, 'rules.conf');
  writeFileSync(file, '# ours\nlisten * tcp\n');
  readEnvironment({ RDMA_NET_RULES: 'connect * rdma; connect * tcp', RDMA_NET_CONFIG: file });
  t.strictSame(
    settings.rules.map(({ text, source, line }) => [text, source, line]),
    [
      ['connect * rdma', 'RDMA_NET_RULES', 1],
      ['connect * tcp', 'RDMA_NET_RULES', 1],
      ['listen * tcp', file, 2],
    ],
  );
  readEnvironment({ RDMA_NET_RULES: '', RDMA_NET_CONFIG: '' });
  t.equal(settings.rules.length, 3, 'empty is as good as unset');
  writeFileSync(file, 'listen * tcp\nlisten *:x tcp');
  t.throws(
    () => readEnvironment({ RDMA_NET_CONFIG: file }),
    new ConfigurationError(`${file}, line 2, column 10: found "x"; ${PORTS}`),
  );
  t.throws(
    () => readEnvironment({ RDMA_NET_CONFIG: `${file}.missing` }),
    /^RDMA_NET_CONFIG is ".*missing"; expected the name of a file with rules \(ENOENT/,
  );
  t.throws(() => changeSettings({ mode: 'require', rules: 'connect' }), ConfigurationError);
  t.equal(settings.rules.length, 3, 'a mistake changes nothing');
  t.equal(settings.mode, 'prefer');
  t.end();
});

// Bounded: a part of a second.
t.test('whatever the text, there are rules or an error with a place in it', (t) => {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
  t.comment(`SEED=${seed}`);
  let state = seed;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return (state >>> 8) % below;
  };
  const words =
    'connect listen * program worker.js require prefer tls local rdma tcp , , : / ; # - [ ] ? \\ ' +
    '10.0.0.0/8:* [fd00::]/8:80 *.db.internal:5432 localhost *:80-90 %eth0 ::ffff:1.2.3.4 é \u0000 (';
  const pieces = [...words.split(' '), ' ', ' ', ' ', '\n', '\t'];
  let rules = 0;
  for (let round = 0; round < 5000; round++) {
    // Most of them begin well, so that all of the parser is reached.
    const begins = ['', 'connect ', 'connect *:80 ', 'listen * require '];
    let text = begins[random(begins.length)] ?? '';
    const count = 1 + random(6);
    for (let index = 0; index < count; index++) {
      text += (pieces[random(pieces.length)] ?? '') + (random(2) === 0 ? ' ' : '');
    }
    try {
      rules += checkRules('rules', text).length;
    } catch (error) {
      const place = /^ConfigurationError: rules, line (\d+), column (\d+): found .*; expected ./s;
      const match = place.exec(String(error));
      const line = text.split(/\r\n|\n|\r/)[Number(match?.[1] ?? 0) - 1];
      const column = Number(match?.[2] ?? 0);
      if (line === undefined || column < 1 || column > line.length + 1) {
        t.fail(`${JSON.stringify(text)}: ${String(error)}`);
      }
    }
  }
  t.ok(rules > 0, `${rules} rules were right`);
  t.end();
});
