/** Numbers as readers get them. */
import { spreadOf } from '../../lib/statistics';

/** Three digits that count, with commas: `12,300`, `12.3` or `0.123`. */
export function showFigure(value: number): string {
  const rounded = Number(value.toPrecision(3));
  if (Math.abs(rounded) >= 100) return rounded.toLocaleString('en-US');
  return Math.abs(rounded) >= 10 ? rounded.toFixed(1) : value.toPrecision(3);
}

/** How many times as fast: `2.1×`. */
export function showFactor(value: number): string {
  return `${value >= 10 ? value.toFixed(1) : value.toFixed(2)}×`;
}

/** `median [least, most]`, or a dash where there is nothing. */
export function showFigures(
  values: readonly number[],
  show: (value: number) => string = showFigure,
): string {
  if (values.length === 0) return '–';
  const { median, least, most } = spreadOf(values);
  return `${show(median)} [${show(least)}, ${show(most)}]`;
}

/** As readers know them. */
export function showUnit(unit: string): string {
  return unit === 'us' ? 'µs' : unit;
}
