import { SigningError } from './error.ts';

/** A key's name in a key folder: part of a file name on every system, and no path. */
export type KeyName = string & { readonly __brand: 'KeyName' };

const grammar = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$/;

/** @throws SigningError `MALFORMED` */
export function parseKeyName(text: string): KeyName {
  if (isKeyName(text)) return text;
  throw new SigningError(
    'MALFORMED',
    `"${text.slice(0, 80)}" is not a key name: 1 to 64 letters, digits, ".", "_" or "-", with a letter or digit at both ends`,
  );
}

function isKeyName(text: string): text is KeyName {
  return grammar.test(text);
}
