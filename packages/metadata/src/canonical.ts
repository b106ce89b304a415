/**
 * TUF's canonical JSON (TUF specification 4.2; OLPC canonical JSON): members ordered by code points, no white space,
 * only `"` and `\` escaped. The library `@tufjs/canonical-json` orders by UTF-16 code units instead, which differs
 * from the reference implementation outside the basic plane; on names that we write (ASCII) all agree.
 *
 * The *wire form* is the canonical form with control characters escaped, which makes it JSON as well; `wire.ts`
 * recognises it where there are none.
 */
import type { JsonValue } from './json.ts';

/** Negative, zero or positive as in sorting; by code points, unlike `<` on strings. */
export function compareCodePoints(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i += 1) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    // Surrogates stand for code points above U+FFFF, so they sort behind U+E000 to U+FFFF.
    const xHigh = x >= 0xd800 && x <= 0xdfff;
    const yHigh = y >= 0xd800 && y <= 0xdfff;
    return xHigh === yHigh ? x - y : xHigh ? 1 : -1;
  }
  return a.length - b.length;
}

function encode(value: JsonValue, encodeString: (text: string) => string): string {
  if (typeof value === 'string') return encodeString(value);
  if (typeof value !== 'object' || value === null) return String(value);
  if (Array.isArray(value)) {
    return `[${(value as readonly JsonValue[]).map((item) => encode(item, encodeString)).join(',')}]`;
  }
  const object = value as { readonly [member: string]: JsonValue };
  const members = Object.keys(object)
    .sort(compareCodePoints)
    .map((name) => `${encodeString(name)}:${encode(object[name] as JsonValue, encodeString)}`);
  return `{${members.join(',')}}`;
}

/** What signatures cover, UTF-8. */
export function canonicalBytes(value: JsonValue): Uint8Array {
  return Buffer.from(encode(value, (text) => `"${text.replace(/["\\]/g, '\\$&')}"`));
}

/** What is stored and served: canonical order and spacing, and valid JSON. */
export function wireText(value: JsonValue): string {
  return encode(value, (text) => JSON.stringify(text));
}
