/**
 * Path patterns of delegations (TUF specification 4.5, PATHPATTERN): shell wildcards that never cross a `/`. We write
 * literals and `*`; we read `?` and `[...]` as well, as a shell does. `{`, `!` at the start and a leading dot mean
 * themselves, and `**` inside one segment is `*`.
 */
import { malformed } from './error.ts';

/** Patterns that we write: literals and `*`. */
export function isWritablePattern(pattern: string): boolean {
  return /^[\x21-\x7e]+$/.test(pattern) && !/[?[\]\\]/.test(pattern);
}

type Piece = '*' | { matches(character: string): boolean };

function parseClass(text: string): { matches(character: string): boolean } {
  const negated = text.startsWith('!') || text.startsWith('^');
  const characters = [...(negated ? text.slice(1) : text)];
  const ranges: [string, string][] = [];
  for (let i = 0; i < characters.length; i += 1) {
    const first = characters[i] as string;
    const last = characters[i + 2];
    if (characters[i + 1] === '-' && last !== undefined) {
      ranges.push([first, last]);
      i += 2;
    } else {
      ranges.push([first, first]);
    }
  }
  return { matches: (c) => ranges.some(([a, b]) => a <= c && c <= b) !== negated };
}

function parsePieces(segment: string): Piece[] {
  const characters = [...segment];
  const pieces: Piece[] = [];
  for (let i = 0; i < characters.length; i += 1) {
    const c = characters[i] as string;
    if (c === '*') {
      if (pieces.at(-1) !== '*') pieces.push('*');
    } else if (c === '?') {
      pieces.push({ matches: () => true });
    } else if (c === '[') {
      // The first character of a class may be a `]`.
      const from = characters[i + 1] === '!' || characters[i + 1] === '^' ? i + 3 : i + 2;
      const end = characters.indexOf(']', from);
      if (end < 0) {
        pieces.push({ matches: (x) => x === '[' });
      } else {
        pieces.push(parseClass(characters.slice(i + 1, end).join('')));
        i = end;
      }
    } else {
      pieces.push({ matches: (x) => x === c });
    }
  }
  return pieces;
}

/** One segment of a pattern: a literal, any text, or a matcher. */
export type SegmentMatcher =
  | { readonly literal: string }
  | { readonly any: true }
  | { matches(segment: string): boolean };

/** Linear in the text times the number of stars at worst; never exponential. */
function matchPieces(pieces: readonly Piece[], text: readonly string[]): boolean {
  let [p, t, star, mark] = [0, 0, -1, 0];
  while (t < text.length) {
    const piece = pieces[p];
    if (piece === '*') {
      [star, mark] = [p, t];
      p += 1;
    } else if (piece !== undefined && piece.matches(text[t] as string)) {
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

const wildcard = /[*?[]/;

const anyText: SegmentMatcher = { any: true };

/** @throws MetadataError MALFORMED/SHAPE for an empty pattern. */
export function splitPattern(pattern: string): string[] {
  if (pattern === '') throw malformed('SHAPE', 'an empty path pattern');
  return pattern.split('/');
}

export function parseSegment(segment: string): SegmentMatcher {
  if (!wildcard.test(segment)) return { literal: segment };
  if (/^\*+$/.test(segment)) return anyText;
  const pieces = parsePieces(segment);
  return { matches: (text: string) => matchPieces(pieces, [...text]) };
}

/** Whether one pattern matches one path; for many patterns use `DelegationIndex`. */
export function matchesPattern(pattern: string, path: string): boolean {
  const segments = path.split('/');
  const matchers = splitPattern(pattern).map(parseSegment);
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
