/** Dates as TUF writes them (specification 4.3: ISO 8601, UTC), in milliseconds since the epoch. */
import { malformed } from './error.ts';

const form = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(?:Z|([+-])(\d{2}):(\d{2}))$/;

/**
 * Reads `YYYY-MM-DDTHH:MM:SSZ`, and tolerates fractional seconds and an offset, which real repositories have.
 *
 * @throws MetadataError MALFORMED/DATE for everything else, days that do not exist included.
 */
export function parseDate(text: string): number {
  const match = form.exec(text);
  if (match === null) throw malformed('DATE', 'a date is written YYYY-MM-DDTHH:MM:SSZ');
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const date = Date.UTC(year, month - 1, day, hour, minute, second);
  if (new Date(date).toISOString().slice(0, 19) !== text.slice(0, 19)) {
    throw malformed('DATE', 'a date that is not in the calendar');
  }
  const fraction = match[7] === undefined ? 0 : Number(match[7].slice(0, 3).padEnd(3, '0'));
  if (match[8] === undefined) return date + fraction;
  const [hours, minutes] = [Number(match[9]), Number(match[10])];
  if (hours > 23 || minutes > 59) throw malformed('DATE', 'an offset that is not one');
  const offset = (hours * 60 + minutes) * 60_000;
  return date + fraction - (match[8] === '-' ? -offset : offset);
}

const firstMs = Date.UTC(1000, 0);
const lastMs = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

/** Writes whole seconds, rounded down. @throws MetadataError MALFORMED/DATE where a year has not four digits. */
export function formatDate(ms: number): string {
  if (!(ms >= firstMs && ms <= lastMs)) throw malformed('DATE', 'a date outside the years 1000 to 9999');
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
