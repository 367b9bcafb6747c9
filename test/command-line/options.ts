import { UsageError } from '../../lib/commands/command';
import { parseNumber } from '../../lib/commands/options';

/** @throws {UsageError} when an option is not a whole number from 1 to `most` */
export function wholeNumber(name: string, text: string, most: number): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= 1 && number <= most) return number;
  throw new UsageError(
    `--${name} is ${JSON.stringify(text)}; expected a whole number from 1 to ${most}`,
  );
}

/** @throws {UsageError} when `--seconds` is not a number from 0.1 to 600 */
export function positiveSeconds(text: string): number {
  return parseNumber('seconds', text, [0.1, 600]);
}

function partsOf(name: string, text: string): string[] {
  const parts = text.split(',').map((part) => part.trim());
  if (new Set(parts).size === parts.length) return parts;
  throw new UsageError(`--${name} is ${JSON.stringify(text)}, which has something twice`);
}

/** @throws {UsageError} when an option is not a list of names, with commas, out of some */
export function chosen<T extends string>(name: string, text: string, from: readonly T[]): T[] {
  return partsOf(name, text).map((part) => {
    const found = from.find((each) => each === part);
    if (found !== undefined) return found;
    throw new UsageError(
      `--${name} has ${JSON.stringify(part)}; expected some of ${from.join(',')}`,
    );
  });
}

/** @throws {UsageError} when an option is not a list of whole numbers from 1 to `most`, with commas */
export function wholeNumbers(name: string, text: string, most: number): number[] {
  return partsOf(name, text).map((part) => wholeNumber(name, part, most));
}
