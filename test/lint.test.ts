/** What `npm run lint` says, as tests: others need not wait for it. */
import t from 'tap';
import { execute } from './lab/execute';
import { projectRoot } from './lab/project-root';

const patient = { timeout: 1_200_000 };

t.setTimeout(patient.timeout);
for (const script of ['lint:ts', 'lint:package', 'lint:native']) {
  void t.test(`npm run ${script} finds nothing`, patient, async (t) => {
    const { status, stdout, stderr } = await execute('npm', ['run', script], {
      cwd: projectRoot(),
    });
    t.equal(status, 0, { output: `${stdout}${stderr}` });
  });
}
