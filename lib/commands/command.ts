/** What every command of `rdma-net` is, and the statuses with which they exit. */

/** One command. Its file in this folder exports it under its name. */
export interface Command {
  /** Synopsis and options, as `rdma-net help COMMAND` prints them; ends without a newline. */
  readonly help: string;
  /**
   * Does what the command is for.
   * @param args what follows the command's name
   * @returns the exit status
   * @throws {UsageError} when the arguments are wrong
   * @throws {ConfigurationError} when the environment, or a file that it names, has a mistake
   */
  run(args: readonly string[]): number | Promise<number>;
}

/** Statuses with which `rdma-net` exits, but for `run`, which ends as its program does. */
export const ExitStatus = {
  Ok: 0,
  /** What was asked for was looked at, and is not as it should be; or could not be done. */
  Trouble: 1,
  /** The command line, or the configuration, is wrong. */
  Usage: 2,
} as const;

/** A wrong command line. The message says what was found, and what is expected. */
export class UsageError extends Error {
  override name = 'UsageError';
}
