/** How numbers are shown to people. */

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** Bytes with three digits or so. */
export function showBytes(bytes: number): string {
  let [value, unit] = [bytes, 0];
  while (value >= 1024 && unit < BYTE_UNITS.length - 1) [value, unit] = [value / 1024, unit + 1];
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${value.toFixed(digits)} ${BYTE_UNITS[unit] ?? ''}`;
}

/** A time span in its two largest units. */
export function showSeconds(seconds: number): string {
  const whole = Math.floor(seconds);
  const [minutes, hours, days] = [60, 3600, 86_400].map((one) => Math.floor(whole / one));
  if (days) return `${days}d${Math.floor((whole % 86_400) / 3600)}h`;
  if (hours) return `${hours}h${Math.floor((whole % 3600) / 60)}m`;
  return minutes ? `${minutes}m${whole % 60}s` : `${whole}s`;
}

/** A part of a whole in percent; '-' of nothing. */
export function showShare(part: number, whole: number): string {
  return whole > 0 ? `${Math.round((100 * part) / whole)}%` : '-';
}
