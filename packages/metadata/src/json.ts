/**
 * Strict JSON. Two ways to the same value: text that was proven to be in wire form is read by the engine's parser
 * (`wire.ts` says why that is safe); anything else goes through the slow parser, which refuses duplicate members,
 * numbers that are not safe integers, and lone surrogates.
 */
import { malformed, MetadataError } from './error.ts';
import { limits } from './limits.ts';
import { wireEnd } from './wire.ts';

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [member: string]: JsonValue;
}

export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An own member or undefined; never something inherited (`constructor`, `__proto__`). */
export function member(object: JsonObject, name: string): JsonValue | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

/**
 * Parses `text`; `wire` tells whether it is exactly what we would have written with no control character in any
 * string, which makes it its own canonical form.
 *
 * @throws MetadataError MALFORMED/JSON, LIMIT_EXCEEDED/DEPTH.
 */
export function parseJson(text: string): { value: JsonValue; wire: boolean } {
  const bytes = Buffer.from(text);
  // A lone surrogate would become another character in bytes.
  const wire = wireEnd(bytes, 0) === bytes.length && text.isWellFormed();
  return { value: parseProven(text, wire), wire };
}

/**
 * As `parseJson`, for text whose form is known.
 *
 * @param wire true only where `wireEnd` recognised the bytes that the text was decoded from, all of them
 */
export function parseProven(text: string, wire: boolean): JsonValue {
  let value: JsonValue;
  try {
    value = JSON.parse(text) as JsonValue;
  } catch (cause) {
    throw new MetadataError('MALFORMED', 'JSON', 'not JSON', { cause });
  }
  return wire ? value : new StrictParser(text).parse();
}

// Unrolled so that a long string costs the engine no backtracking.
const stringToken = /"[^"\\\u0000-\u001f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\u0000-\u001f]*)*"/y;
const numberToken = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?/y;
const wordToken = /true|false|null/y;

class StrictParser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): JsonValue {
    const value = this.#value(0);
    this.#space();
    if (this.#at !== this.#text.length) throw this.#error('text after the value');
    return value;
  }

  #error(what: string): MetadataError {
    return malformed('JSON', `${what} at character ${this.#at}`);
  }

  #space(): void {
    for (;;) {
      const c = this.#text.charCodeAt(this.#at);
      if (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09) return;
      this.#at += 1;
    }
  }

  #token(form: RegExp): string | undefined {
    form.lastIndex = this.#at;
    const match = form.exec(this.#text);
    if (match === null) return undefined;
    this.#at = form.lastIndex;
    return match[0];
  }

  #take(character: string): boolean {
    this.#space();
    if (this.#text[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  #value(depth: number): JsonValue {
    this.#space();
    const opening = this.#text[this.#at];
    if ((opening === '{' || opening === '[') && depth >= limits.jsonDepth)
      throw new MetadataError('LIMIT_EXCEEDED', 'DEPTH', 'JSON is nested too deep');
    if (this.#take('{')) return this.#object(depth);
    if (this.#take('[')) return this.#array(depth);
    const c = this.#text[this.#at];
    if (c === '"') return this.#string();
    const word = this.#token(wordToken);
    if (word !== undefined) return word === 'null' ? null : word === 'true';
    const digits = this.#token(numberToken);
    if (digits === undefined) throw this.#error('no JSON value');
    const number = Number(digits);
    if (!/^-?[0-9]+$/.test(digits) || !Number.isSafeInteger(number) || Object.is(number, -0)) {
      throw this.#error('a number that is not an integer below 2^53');
    }
    return number;
  }

  #string(): string {
    const token = this.#token(stringToken);
    if (token === undefined) throw this.#error('a broken string');
    const text = JSON.parse(token) as string;
    if (!text.isWellFormed()) throw this.#error('a lone surrogate');
    return text;
  }

  #object(depth: number): JsonObject {
    const object: Record<string, JsonValue> = {};
    if (this.#take('}')) return object;
    do {
      this.#space();
      const name = this.#string();
      if (Object.hasOwn(object, name)) throw this.#error('a duplicate member');
      if (!this.#take(':')) throw this.#error('no colon');
      const value = this.#value(depth + 1);
      // `__proto__` must become a member like any other.
      Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
    } while (this.#take(','));
    if (!this.#take('}')) throw this.#error('an unfinished object');
    return object;
  }

  #array(depth: number): JsonValue[] {
    const array: JsonValue[] = [];
    if (this.#take(']')) return array;
    do array.push(this.#value(depth + 1));
    while (this.#take(','));
    if (!this.#take(']')) throw this.#error('an unfinished array');
    return array;
  }
}
