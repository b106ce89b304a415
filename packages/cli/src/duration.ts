/** Spans of time as people write and read them. */
import { usage } from './error.ts';

const units = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
  y: 365 * 86_400_000,
} as const;

/** `90s`, `15m`, `12h`, `90d`, `2w`, `1y`, in milliseconds. @throws CliError USAGE */
export function parseDuration(text: string): number {
  const [, count, unit] = /^([1-9][0-9]{0,6})([smhdwy])$/.exec(text) ?? [];
  if (count === undefined || unit === undefined)
    throw usage(`"${text}" is not a span of time`, 'write 15m, 12h, 90d or 1y');
  return Number(count) * units[unit as keyof typeof units];
}

/** `3 days`, `2 hours`, `40 seconds`: the largest unit of which there are two or more. */
export function formatDuration(ms: number): string {
  const names = [
    ['year', units.y],
    ['day', units.d],
    ['hour', units.h],
    ['minute', units.m],
  ] as const;
  for (const [name, size] of names) {
    const count = Math.floor(ms / size);
    if (count >= 2) return `${count} ${name}s`;
  }
  const seconds = Math.max(0, Math.round(ms / units.s));
  return seconds === 1 ? '1 second' : `${seconds} seconds`;
}

/** `2027-11-22, in 364 days` or `2026-01-01, 3 days ago`. */
export function formatExpiry(expires: number, now: number): string {
  const day = new Date(expires).toISOString().slice(0, 16).replace('T', ' ');
  return expires > now
    ? `${day} (in ${formatDuration(expires - now)})`
    : `${day} (EXPIRED ${formatDuration(now - expires)} ago)`;
}
