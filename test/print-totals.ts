/**
 * node dist/test/print-totals.js FILE
 *
 * Prints the failures in a file of TAP, and as the last line the totals, counted as tap's own summary
 * does: assertions, and tests that failed as such. Fails when one failed, when none passed, or when
 * the file is cut off.
 */

import { existsSync, readFileSync } from 'node:fs';

import { Parser, type Result } from 'tap-parser';

const totals = { passed: 0, failed: 0, skipped: 0 };

function count({ ok, skip, todo, fullname }: Result): void {
  if (skip || todo) totals.skipped++;
  else if (ok) totals.passed++;
  else {
    totals.failed++;
    process.stdout.write(`failed: ${fullname}\n`);
  }
}

const [path = ''] = process.argv.slice(2);
const parser = new Parser();
parser.on('result', count);
parser.end(existsSync(path) ? readFileSync(path, 'utf8') : '');

const { passed, failed, skipped } = totals;
process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`);
if (!parser.ok || failed > 0 || passed === 0) process.exitCode = 1;
