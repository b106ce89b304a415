/**
 * Recognises JSON in wire form (see `canonical.ts`) by its bytes alone: no white space, members in order, strings and
 * numbers in the one spelling that we write.
 *
 * Why the engine's parser, which is not strict, may be trusted with what is recognised here:
 * - No member is dropped. Names hold no escapes, so names that are equal are equal byte by byte, and the names of an
 *   object rise strictly.
 * - The order is that of code points, because bytes of UTF-8 sort as the code points do.
 * - No number is rounded: digits alone, no sign on zero, and the value is a safe integer.
 * - No surrogate stands alone: they have no UTF-8, and an escape could only be of a quote or a backslash.
 * - The bytes are the canonical form of the value: where a string has no control character, canonical JSON escapes
 *   the same two characters, and each of the rules above leaves one spelling.
 *
 * It is a grammar of its own, so it takes nothing on trust that the parser has still to check. Whatever it does not
 * recognise goes to the strict parser: to refuse too much costs time, never truth.
 */
import { limits } from './limits.ts';

const none = -1;
const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const zero = 0x30;
const nine = 0x39;

/**
 * Where the value that starts at `from` ends, exclusive; -1 where it is not in wire form or is nested deeper than the
 * limit. What follows the value is not looked at.
 *
 * @param bytes valid UTF-8
 */
export function wireEnd(bytes: Uint8Array, from: number): number {
  return valueEnd(bytes, from, limits.jsonDepth);
}

function valueEnd(bytes: Uint8Array, from: number, levels: number): number {
  switch (bytes[from]) {
    case quote:
      return stringEnd(bytes, from);
    case 0x7b:
      return levels === 0 ? none : objectEnd(bytes, from, levels - 1);
    case 0x5b:
      return levels === 0 ? none : arrayEnd(bytes, from, levels - 1);
    case 0x74:
      return wordEnd(bytes, from, 'true');
    case 0x66:
      return wordEnd(bytes, from, 'false');
    case 0x6e:
      return wordEnd(bytes, from, 'null');
    default:
      return numberEnd(bytes, from);
  }
}

function stringEnd(bytes: Uint8Array, from: number): number {
  for (let at = from + 1; at < bytes.length; at += 1) {
    const byte = bytes[at] as number;
    if (byte === quote) return at + 1;
    if (byte < 0x20) return none;
    if (byte !== backslash) continue;
    at += 1;
    if (bytes[at] !== quote && bytes[at] !== backslash) return none;
  }
  return none;
}

/** As a string without any escape. */
function nameEnd(bytes: Uint8Array, from: number): number {
  if (bytes[from] !== quote) return none;
  for (let at = from + 1; at < bytes.length; at += 1) {
    const byte = bytes[at] as number;
    if (byte === quote) return at + 1;
    if (byte < 0x20 || byte === backslash) return none;
  }
  return none;
}

/** Whether one name sorts before another. Both are from quote to quote. */
function rises(bytes: Uint8Array, before: number, beforeEnd: number, name: number, end: number): boolean {
  const length = Math.min(beforeEnd - before, end - name) - 1;
  for (let i = 1; i < length; i += 1) {
    const difference = (bytes[name + i] as number) - (bytes[before + i] as number);
    if (difference !== 0) return difference > 0;
  }
  return end - name > beforeEnd - before;
}

function objectEnd(bytes: Uint8Array, from: number, levels: number): number {
  let at = from + 1;
  if (bytes[at] === 0x7d) return at + 1;
  let before = none;
  let beforeEnd = none;
  for (;;) {
    const end = nameEnd(bytes, at);
    if (end < 0 || bytes[end] !== 0x3a) return none;
    if (before >= 0 && !rises(bytes, before, beforeEnd, at, end)) return none;
    before = at;
    beforeEnd = end;
    at = valueEnd(bytes, end + 1, levels);
    if (at < 0) return none;
    const next = bytes[at];
    at += 1;
    if (next === 0x7d) return at;
    if (next !== comma) return none;
  }
}

function arrayEnd(bytes: Uint8Array, from: number, levels: number): number {
  let at = from + 1;
  if (bytes[at] === 0x5d) return at + 1;
  for (;;) {
    at = valueEnd(bytes, at, levels);
    if (at < 0) return none;
    const next = bytes[at];
    at += 1;
    if (next === 0x5d) return at;
    if (next !== comma) return none;
  }
}

function wordEnd(bytes: Uint8Array, from: number, word: string): number {
  for (let i = 1; i < word.length; i += 1) if (bytes[from + i] !== word.charCodeAt(i)) return none;
  return from + word.length;
}

function numberEnd(bytes: Uint8Array, from: number): number {
  const negative = bytes[from] === 0x2d;
  let at = negative ? from + 1 : from;
  if (bytes[at] === zero) return negative ? none : at + 1;
  const first = at;
  let value = 0;
  for (; at < bytes.length; at += 1) {
    const byte = bytes[at] as number;
    if (byte < zero || byte > nine) break;
    // Sums are exact up to 2^53, and rounding never brings one back below it.
    value = value * 10 + (byte - zero);
    if (value > Number.MAX_SAFE_INTEGER) return none;
  }
  return at === first ? none : at;
}
