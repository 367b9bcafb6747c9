/** Numbers that cross from C++ to TypeScript have one meaning on both sides. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import t from 'tap';

import { DetailKind, EVENT_WORDS, EventKind, InfoNumber, Sharing } from '../../lib/native';
import { Status } from '../../lib/native-status';
import { projectRoot } from '../lab/project-root';
import { headerEnum } from './header-enum';

t.test('Status is the same in C++ and TypeScript', (t) => {
  t.same(Status, headerEnum('binding/fabric/status.h', 'Status'));
  t.end();
});

t.test('DetailKind is the same in C++ and TypeScript', (t) => {
  t.same(DetailKind, headerEnum('binding/fabric/status.h', 'DetailKind'));
  t.end();
});

t.test('Sharing is the same in C++ and TypeScript', (t) => {
  t.same(Sharing, headerEnum('binding/fabric/fabric.h', 'Sharing'));
  t.end();
});

t.test('EventKind is the same in C++ and TypeScript', (t) => {
  t.same(EventKind, headerEnum('binding/napi/event_records.h', 'EventKind'));
  t.end();
});

t.test('InfoNumber is the same in C++ and TypeScript', (t) => {
  t.same(InfoNumber, headerEnum('binding/napi/objects.h', 'InfoNumber'));
  t.end();
});

t.test('a record of an event has the same length in C++ and TypeScript', (t) => {
  const header = readFileSync(join(projectRoot(), 'binding/napi/event_records.h'), 'utf8');
  t.equal(Number(/\bkWords = (\d+);/.exec(header)?.[1]), EVENT_WORDS);
  t.end();
});
