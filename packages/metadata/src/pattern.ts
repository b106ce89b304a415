/**
 * Path patterns of delegations (TUF specification 4.5, PATHPATTERN): shell wildcards that never cross a `/`. We write
 * literals and `*`; we read `?` and `[...]` as well, as a shell does. `{`, `!` at the start and a leading dot mean
 * themselves, and `**` inside one segment is `*`.
 */
import { compareCodePoints } from './canonical.ts';
import { malformed, MetadataError } from './error.ts';
import { limits } from './limits.ts';

/** Patterns that we write: literals and `*`. */
export function isWritablePattern(pattern: string): boolean {
  return /^[\x21-\x7e]+$/.test(pattern) && !/[?[\]\\]/.test(pattern);
}

/** Literals are one code point; `*` and `?` are themselves; a class is its text from `[` on, without the `]`. */
type Piece = string;

/** Whether a class (`[a-z`, `[!x`) holds the character. */
function classHolds(piece: Piece, character: string): boolean {
  const negated = piece[1] === '!' || piece[1] === '^';
  const characters = Array.from(piece.slice(negated ? 2 : 1));
  for (let i = 0; i < characters.length; i += 1) {
    const first = characters[i] as string;
    const last = characters[i + 1] === '-' ? characters[i + 2] : undefined;
    if (last !== undefined) i += 2;
    if (compareCodePoints(first, character) <= 0 && compareCodePoints(character, last ?? first) <= 0)
      return !negated;
  }
  return negated;
}

function parsePieces(segment: string): Piece[] {
  const characters = [...segment];
  const lastClose = characters.lastIndexOf(']');
  const pieces: Piece[] = [];
  for (let i = 0; i < characters.length; i += 1) {
    const c = characters[i] as string;
    if (c === '*' && pieces.at(-1) === '*') continue;
    if (c === '[') {
      // The first character of a class may be a `]`. Without an end it is no class.
      const from = characters[i + 1] === '!' || characters[i + 1] === '^' ? i + 3 : i + 2;
      const end = from <= lastClose ? characters.indexOf(']', from) : -1;
      if (end >= 0) {
        pieces.push(characters.slice(i, end).join(''));
        i = end;
        continue;
      }
    }
    pieces.push(c);
  }
  return pieces;
}

function pieceMatches(piece: Piece, character: string): boolean {
  if (piece === '?') return true;
  return piece.length > 1 && piece.startsWith('[') ? classHolds(piece, character) : piece === character;
}

/** Linear in the text times the pieces at worst; never exponential. */
function matchPieces(pieces: readonly Piece[], text: readonly string[]): boolean {
  let [p, t, star, mark] = [0, 0, -1, 0];
  while (t < text.length) {
    const piece = pieces[p];
    if (piece === '*') {
      [star, mark] = [p, t];
      p += 1;
    } else if (piece !== undefined && pieceMatches(piece, text[t] as string)) {
      p += 1;
      t += 1;
    } else if (star >= 0) {
      p = star + 1;
      mark += 1;
      t = mark;
    } else {
      return false;
    }
  }
  while (pieces[p] === '*') p += 1;
  return p === pieces.length;
}

/** Literals with `*` between them: the first at the start, the last at the end, the others in turn. */
function matchLiterals(literals: readonly string[], text: string): boolean {
  const first = literals[0] as string;
  const last = literals.at(-1) as string;
  if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last))
    return false;
  const end = text.length - last.length;
  let at = first.length;
  for (const literal of literals.slice(1, -1)) {
    const found = text.indexOf(literal, at);
    if (found < 0 || found + literal.length > end) return false;
    at = found + literal.length;
  }
  return true;
}

/** One segment of a pattern: a literal, any text, or a matcher. */
export type SegmentMatcher =
  | { readonly literal: string }
  | { readonly any: true }
  | { matches(segment: string): boolean };

/** Taken apart when first asked, as most patterns of a file never are. */
class WildSegment {
  readonly #segment: string;
  #parts: readonly string[] | undefined;

  constructor(segment: string) {
    this.#segment = segment;
  }

  matches(text: string): boolean {
    if (/[?[]/.test(this.#segment)) {
      this.#parts ??= parsePieces(this.#segment);
      return matchPieces(this.#parts, [...text]);
    }
    this.#parts ??= this.#segment.split('*');
    return matchLiterals(this.#parts, text);
  }
}

const wildcard = /[*?[]/;

const anyText: SegmentMatcher = { any: true };

/** @throws MetadataError MALFORMED/SHAPE for an empty pattern, LIMIT_EXCEEDED/SIZE. */
export function checkPattern(pattern: string): void {
  if (pattern === '') throw malformed('SHAPE', 'an empty path pattern');
  if (pattern.length > limits.patternBytes || Buffer.byteLength(pattern) > limits.patternBytes)
    throw new MetadataError('LIMIT_EXCEEDED', 'SIZE', `a pattern of more than ${limits.patternBytes} bytes`);
}

export function parseSegment(segment: string): SegmentMatcher {
  if (!wildcard.test(segment)) return { literal: segment };
  return /^\*+$/.test(segment) ? anyText : new WildSegment(segment);
}

/** Whether one pattern matches one path; for many patterns use `PathIndex`. */
export function matchesPattern(pattern: string, path: string): boolean {
  checkPattern(pattern);
  const segments = path.split('/');
  const matchers = pattern.split('/').map(parseSegment);
  return (
    matchers.length === segments.length &&
    matchers.every((matcher, i) => {
      const segment = segments[i] as string;
      return 'literal' in matcher
        ? matcher.literal === segment
        : 'any' in matcher || matcher.matches(segment);
    })
  );
}
