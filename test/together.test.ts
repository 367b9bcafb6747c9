/**
 * The tests in the lab, and beside them those that take long and measure no delays: they get what
 * the guest leaves of the processors. Each file can also be run by itself.
 */
import path from 'node:path';
import t, { type Test } from 'tap';
import { projectRoot } from './lab/project-root';

const patient = { timeout: 1_450_000 };
/** The last that `nice` knows: whoever measures delays hardly notices these. */
const BEHIND = ['nice', '-n', '19'];

/** Runs one file after the other. */
async function run(t: Test, files: readonly string[], wrapper: readonly string[]): Promise<void> {
  for (const file of files) {
    const [command, ...args] = [...wrapper, process.execPath, path.join(__dirname, file)];
    await t.spawn(command, args, { cwd: projectRoot(), ...patient }, file);
  }
}

t.jobs = 2;
t.setTimeout(patient.timeout);
const aside = { ...patient, buffered: true };

void t.test('with the lab to themselves', aside, (t) =>
  run(t, ['lab-guest.test.js', 'lab-pair.test.js'], []),
);
// What uses one processor comes first, while the guest leaves but one.
void t.test('behind the lab', aside, (t) =>
  run(t, ['native/native.test.js', 'native/fuzz.test.js', 'lint.test.js'], BEHIND),
);
