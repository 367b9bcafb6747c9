/** @throws Error when an option is not a whole number from 1 to `most` */
export function wholeNumber(name: string, text: string, most: number): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= 1 && number <= most) return number;
  throw new Error(
    `--${name} is ${JSON.stringify(text)}; expected a whole number from 1 to ${most}`,
  );
}

/** @throws Error when `--seconds` is not a number from 0.1 to 600 */
export function positiveSeconds(text: string): number {
  const seconds = Number(text);
  if (seconds >= 0.1 && seconds <= 600) return seconds;
  throw new Error(`--seconds is ${JSON.stringify(text)}; expected a number from 0.1 to 600`);
}
