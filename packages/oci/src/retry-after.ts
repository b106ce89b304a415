/** The `Retry-After` header (RFC 9110 section 10.2.3), and how long to wait without one. */

/** @returns milliseconds to wait from `now`, or undefined when the header is absent or not readable */
export function parseRetryAfter(value: string | undefined, now: number): number | undefined {
  const text = value?.trim() ?? '';
  if (/^\d{1,9}$/u.test(text)) return Number(text) * 1000;
  const date = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} [\d:]{8} GMT$/u.test(text)
    ? Date.parse(text)
    : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/** Doubling from half a second; `attempt` counts from 1. */
export function backOffMs(attempt: number): number {
  return 500 * 2 ** (attempt - 1);
}
