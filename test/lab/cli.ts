import { type LabCommand, parseLabCommand, UsageError, usage } from './arguments';
import { LabUnavailable } from './execute';
import { pairInLab, reportTo, runInLab } from './lab';
import { setUp, setUpHeaders } from './setup';

const failedStatus = 125;

async function perform(command: LabCommand, signal: AbortSignal): Promise<number> {
  const report = reportTo(process.stderr);
  switch (command.verb) {
    case 'help':
      process.stdout.write(usage);
      return 0;
    case 'setup': {
      const { kernel } = await setUp(report);
      process.stdout.write(`lab: ready, guest kernel ${kernel.release}\n`);
      return 0;
    }
    case 'headers':
      await setUpHeaders(report);
      return 0;
    case 'run':
      return (await runInLab({ ...command.options, signal })).status;
    case 'pair':
      return (await pairInLab({ ...command.options, signal })).status;
    case 'time':
      return time(command.options, signal);
  }
}

/** One guest each for the boot alone and for Node's start. */
async function time(
  options: Extract<LabCommand, { verb: 'time' }>['options'],
  signal: AbortSignal,
): Promise<number> {
  for (const line of ['true', 'node -v >/dev/null', 'node -v >/dev/null; node -v >/dev/null']) {
    const start = performance.now();
    const result = await runInLab({ ...options, signal, command: line });
    const total = (performance.now() - start) / 1000;
    const parts = [result.bootSeconds, result.commandSeconds, total].map((s) => s.toFixed(2));
    process.stdout.write(`boot ${parts[0]} s, command ${parts[1]} s, all ${parts[2]} s: ${line}\n`);
    if (result.status !== 0) return result.status;
  }
  return 0;
}

async function main(): Promise<void> {
  const abort = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(name, () => {
      // The signal ends this process as it would have, once the guests are gone.
      process.exitCode = failedStatus;
      process.once('exit', () => process.kill(process.pid, name));
      abort.abort(new Error(`stopped by ${name}`));
    });
  }
  // Whoever read the output is gone, so nobody waits for the rest.
  process.stdout.on('error', () => process.exit(failedStatus));
  try {
    process.exitCode = await perform(parseLabCommand(process.argv.slice(2)), abort.signal);
  } catch (error) {
    process.exitCode = failedStatus;
    if (abort.signal.aborted) return;
    if (error instanceof LabUnavailable) process.stderr.write(`lab: ${error.message}\n`);
    else if (error instanceof UsageError || error instanceof RangeError) {
      process.stderr.write(`lab: ${error.message}\nlab: see npm run lab -- --help\n`);
    } else throw error;
  }
}

void main();
