/** @throws Error when an option is not a whole number from 1 to `most` */
export function wholeNumber(name: string, text: string, most: number): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= 1 && number <= most) return number;
  throw new Error(
    `--${name} is ${JSON.stringify(text)}; expected a whole number from 1 to ${most}`,
  );
}
