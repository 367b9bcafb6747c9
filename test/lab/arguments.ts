import { type LabOptions, type PairOptions, type RunOptions } from './lab';

/** What the command line asks for. */
export type LabCommand =
  | { readonly verb: 'help' | 'setup' | 'headers' }
  | { readonly verb: 'run'; readonly options: RunOptions }
  | { readonly verb: 'pair'; readonly options: PairOptions }
  | { readonly verb: 'time'; readonly options: LabOptions };

/** The command line is not one of those that `usage` describes. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export const usage = `The lab: a guest with a real RDMA stack (soft RoCE) on a machine without RDMA hardware.

  npm run lab -- setup
      Fetches and caches what the lab needs: Debian packages (as root, only those missing), a guest
      kernel, an initramfs. Quick when nothing is to do; the other verbs do it by themselves.
  npm run --silent lab -- run [OPTIONS] CMD [ARG...]
      Boots one guest, runs CMD in it and exits with its status. A single argument is a line for
      "sh -c"; several are run as they are. Device rxe0 on veth0, 10.77.0.1 and fd77::1.
  npm run --silent lab -- pair [OPTIONS] CMD1 CMD2
      Boots two guests on one network: h1 (10.77.0.1, fd77::1) and h2 (10.77.0.2, fd77::2), device
      rxe0 on eth0. Runs the lines CMD1 and CMD2 by "sh -c" when both are up, prefixes the lines of
      their output with "h1| " and "h2| ", and exits with the first status that is not 0.
  npm run lab -- time [OPTIONS]
      Measures the boot and Node's start.
  npm run lab -- headers
      Installs the headers that the native binding is compiled against, if missing.

Options
  --timeout SECONDS    for boot and command together (default 300)
  --cpus N             virtual CPUs of each guest (default 1)
  --memory MIB         memory of each guest (default 1024); files written there count
  --env NAME=VALUE     set a variable for the command; --env NAME passes the host's value on
  --kernel PACKAGE     boot another kernel of Debian's, such as linux-image-6.12-amd64
  --accel kvm|tcg      override the choice (KVM where it works, else emulation)
  --verbose            show the guest's console and the timings on standard error

In the guest
  The host's files, in the same places; what is written to them is lost with the guest. /tmp and
  /run are empty (a checkout in there is shown again). PATH, HOME, CI, LANG, LC_ALL and TZ are the
  host's, standard input is /dev/null, the user is root, "ulimit -l" is unlimited. There is no
  network but that of the lab. Kernel modules load on demand.
  lab-signal NAME [VALUE]   lets every "lab-wait NAME" return, in both guests, now and later
  lab-wait NAME             waits for that and prints VALUE; fails if the other guest ends before

Exit status: the command's; 124 after the timeout; 125 when the lab itself fails. In both cases the
end of the guest's console is shown.
`;

/**
 * Reads the words after `lab`.
 *
 * @throws UsageError when they are not as `usage` says.
 */
export function parseLabCommand(words: readonly string[]): LabCommand {
  const [verb, ...rest] = words;
  if (verb === undefined || rest[0] === '--help' || rest[0] === '-h') return { verb: 'help' };
  switch (verb) {
    case '--help':
    case '-h':
    case 'help':
      return { verb: 'help' };
    case 'setup':
    case 'headers':
      if (rest.length > 0) throw new UsageError(`${verb} takes no arguments`);
      return { verb };
    case 'run': {
      const { options, env, operands } = parseOptions(rest);
      const [command, ...args] = operands;
      if (command === undefined) throw new UsageError('run needs a command');
      return { verb, options: { ...options, env, command, ...(args.length > 0 && { args }) } };
    }
    case 'pair': {
      const { options, env, operands } = parseOptions(rest);
      const [first, second, ...more] = operands;
      if (first === undefined || second === undefined || more.length > 0) {
        throw new UsageError('pair needs two commands, each as one argument');
      }
      const commands = [
        { command: first, env },
        { command: second, env },
      ] as const;
      return { verb, options: { ...options, commands } };
    }
    case 'time': {
      const { options, operands } = parseOptions(rest);
      if (operands.length > 0) throw new UsageError('time takes options only');
      return { verb, options };
    }
    default:
      throw new UsageError(`no such verb: ${verb}`);
  }
}

interface ParsedOptions {
  readonly options: LabOptions;
  readonly env: Readonly<Record<string, string>>;
  readonly operands: readonly string[];
}

/** Options end at the first word that is none, or at `--`: the rest is the guest's business. */
function parseOptions(words: readonly string[]): ParsedOptions {
  const options: { -readonly [Key in keyof LabOptions]: LabOptions[Key] } = {};
  const env: Record<string, string> = {};
  let index = 0;
  const value = (name: string, inline: string | undefined): string => {
    const given = inline ?? words[index++];
    if (given === undefined) throw new UsageError(`${name} needs a value`);
    return given;
  };
  for (let word = words[index]; word?.startsWith('-'); word = words[index]) {
    index++;
    if (word === '--') break;
    const [, name = word, inline] = /^(--[a-z]+)=(.*)$/s.exec(word) ?? [];
    switch (name) {
      case '--timeout':
        options.timeoutSeconds = numeric(name, value(name, inline));
        break;
      case '--cpus':
        options.cpus = numeric(name, value(name, inline));
        break;
      case '--memory':
        options.memoryMebibytes = numeric(name, value(name, inline));
        break;
      case '--env':
        Object.assign(env, variable(value(name, inline)));
        break;
      case '--kernel':
        options.kernelPackage = value(name, inline);
        break;
      case '--accel':
        options.accelerator = accelerator(value(name, inline));
        break;
      case '--verbose':
        options.verbose = true;
        break;
      default:
        throw new UsageError(`no such option: ${word}`);
    }
  }
  return { options, env, operands: words.slice(index) };
}

function numeric(name: string, text: string): number {
  const number = Number(text);
  if (text.trim() === '' || Number.isNaN(number)) throw new UsageError(`${name} needs a number`);
  return number;
}

function accelerator(text: string): 'kvm' | 'tcg' {
  if (text === 'kvm' || text === 'tcg') return text;
  throw new UsageError('--accel is kvm or tcg');
}

function variable(text: string): Readonly<Record<string, string>> {
  const equals = text.indexOf('=');
  if (equals > 0) return { [text.slice(0, equals)]: text.slice(equals + 1) };
  const inherited = process.env[text];
  if (inherited === undefined) throw new UsageError(`--env ${text}: not set here`);
  return { [text]: inherited };
}
