/** The tests of test/local, in a process of their own: they change its environment. */
import path from 'node:path';
import t from 'tap';

const TIMEOUT_SECONDS = 900;

t.setTimeout(TIMEOUT_SECONDS * 1000);
void t.spawn(
  process.execPath,
  [path.join(__dirname, 'local', 'all.js')],
  { cwd: path.join(__dirname, '..', '..') },
  'two programs on one machine',
);
