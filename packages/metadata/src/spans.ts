/**
 * Finds the two members of a metadata file's outer object by walking its tokens, never by searching its text, before
 * anything is parsed. Whatever is not exactly `{"signatures": ..., "signed": ...}` in either order is refused.
 */
import { malformed, MetadataError } from './error.ts';
import { limits } from './limits.ts';
import { wireEnd } from './wire.ts';

/** Byte offsets, end exclusive. */
export interface Span {
  readonly start: number;
  readonly end: number;
  /** Whether the value is in wire form, as proven on the way. */
  readonly wire: boolean;
}

const quote = 0x22;
const backslash = 0x5c;

function skipSpace(bytes: Uint8Array, from: number): number {
  let at = from;
  while (bytes[at] === 0x20 || bytes[at] === 0x0a || bytes[at] === 0x0d || bytes[at] === 0x09) at += 1;
  return at;
}

/** From the opening quote to behind the closing one. Most strings are short: a loop beats a search here. */
function skipString(bytes: Uint8Array, from: number): number {
  for (let at = from + 1; at < bytes.length; at += 1) {
    const byte = bytes[at];
    if (byte === quote) return at + 1;
    if (byte === backslash) at += 1;
  }
  throw malformed('JSON', 'an unfinished string');
}

/** From the first byte of a value to behind its last; the value's inside is checked by the parser afterwards. */
function skipValue(bytes: Uint8Array, from: number): number {
  let at = from;
  let depth = 0;
  for (; at < bytes.length; at += 1) {
    const byte = bytes[at];
    if (byte === quote) {
      at = skipString(bytes, at) - 1;
    } else if (byte === 0x7b || byte === 0x5b) {
      depth += 1;
      if (depth > limits.jsonDepth)
        throw new MetadataError('LIMIT_EXCEEDED', 'DEPTH', 'JSON is nested too deep');
    } else if (byte === 0x7d || byte === 0x5d) {
      if (depth === 0) return at;
      depth -= 1;
    } else if (depth === 0 && byte === 0x2c) {
      return at;
    } else {
      continue;
    }
    if (depth === 0) return at + 1;
  }
  throw malformed('JSON', 'the text ends inside a value');
}

/** @param bytes valid UTF-8. @throws MetadataError MALFORMED/JSON, LIMIT_EXCEEDED/DEPTH. */
export function outerSpans(bytes: Uint8Array): { signatures: Span; signed: Span } {
  const spans = new Map<string, Span>();
  let at = skipSpace(bytes, 0);
  if (bytes[at] !== 0x7b) throw malformed('JSON', 'not a JSON object');
  do {
    at = skipSpace(bytes, at + 1);
    if (bytes[at] !== quote) throw malformed('JSON', 'a member name is missing');
    const nameEnd = skipString(bytes, at);
    const name = Buffer.from(bytes.subarray(at + 1, nameEnd - 1)).toString('latin1');
    if (name !== 'signatures' && name !== 'signed')
      throw malformed('SHAPE', 'an outer member that is not known');
    if (spans.has(name)) throw malformed('JSON', `two members "${name}"`);
    at = skipSpace(bytes, nameEnd);
    if (bytes[at] !== 0x3a) throw malformed('JSON', 'no colon');
    const start = skipSpace(bytes, at + 1);
    const proven = wireEnd(bytes, start);
    const wire = proven >= 0;
    const end = wire ? proven : skipValue(bytes, start);
    spans.set(name, { start, end, wire });
    at = skipSpace(bytes, end);
  } while (bytes[at] === 0x2c);
  if (bytes[at] !== 0x7d) throw malformed('JSON', 'an unfinished object');
  if (skipSpace(bytes, at + 1) !== bytes.length) throw malformed('JSON', 'text after the object');
  const signatures = spans.get('signatures');
  const signed = spans.get('signed');
  if (signatures === undefined || signed === undefined)
    throw malformed('SHAPE', '"signed" or "signatures" is missing');
  return { signatures, signed };
}
