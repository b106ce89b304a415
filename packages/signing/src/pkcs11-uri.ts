/**
 * PKCS #11 URIs (RFC 7512), the part that names one private key: `pkcs11:token=…;serial=…;object=…;id=…?module-path=…&pin-source=…`.
 * Attributes that we do not know are refused: left out, they could name another key. Pure.
 */
import { isAbsolute } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { KeyUri } from './backend.ts';
import { SigningError } from './error.ts';

export interface Pkcs11Uri {
  readonly modulePath: string;
  readonly token?: string;
  readonly serial?: string;
  readonly object?: string;
  readonly id?: Uint8Array;
  /** A file that holds the PIN. */
  readonly pinFile?: string;
  /** As given; it holds no secret. */
  readonly text: string;
}

const pathAttributes = new Set(['token', 'serial', 'object', 'id', 'type']);
const queryAttributes = new Set(['module-path', 'pin-source']);

/** @throws SigningError `MALFORMED` */
export function parsePkcs11Uri({ rest, text }: KeyUri): Pkcs11Uri {
  // Checked first, so that no message ever repeats a URI with a PIN in it.
  if (/[?&;]pin-value=/i.test(rest))
    throw malformed('a pkcs11 URI', 'a PIN does not belong in it; use pin-source or MANDATE_PIN');
  const question = rest.indexOf('?');
  const path = attributesOf(question < 0 ? rest : rest.slice(0, question), ';', pathAttributes, text);
  const query = attributesOf(question < 0 ? '' : rest.slice(question + 1), '&', queryAttributes, text);
  const modulePath = query.get('module-path')?.toString();
  if (modulePath === undefined || !isAbsolute(modulePath))
    throw malformed(text, 'name the library of the token by its whole path, with ?module-path=');
  if ((path.get('type')?.toString() ?? 'private') !== 'private')
    throw malformed(text, 'type is private, or left out');
  const id = path.get('id');
  const object = path.get('object')?.toString();
  if (id === undefined && object === undefined)
    throw malformed(text, 'name the key with object= (its label) or id=');
  const token = path.get('token')?.toString();
  const serial = path.get('serial')?.toString();
  const pinSource = query.get('pin-source')?.toString();
  return {
    modulePath,
    ...(token !== undefined && { token }),
    ...(serial !== undefined && { serial }),
    ...(object !== undefined && { object }),
    ...(id !== undefined && { id }),
    ...(pinSource !== undefined && { pinFile: pinFileOf(pinSource, text) }),
    text,
  };
}

/** The same URI with the id of a key in it. */
export function withId(uri: Pkcs11Uri, id: Uint8Array): Pkcs11Uri {
  const escaped = [...id].map((byte) => `%${byte.toString(16).padStart(2, '0').toUpperCase()}`).join('');
  const [path = '', query = ''] = uri.text.split('?', 2);
  return { ...uri, id, text: `${path};id=${escaped}?${query}` };
}

function attributesOf(
  part: string,
  separator: string,
  known: ReadonlySet<string>,
  text: string,
): Map<string, Buffer> {
  const attributes = new Map<string, Buffer>();
  for (const attribute of part.split(separator).filter((it) => it !== '')) {
    const equals = attribute.indexOf('=');
    const name = attribute.slice(0, Math.max(equals, 0));
    if (!known.has(name)) throw malformed(text, `"${name.slice(0, 40)}" is not among what we read in it`);
    if (attributes.has(name)) throw malformed(text, `${name} stands in it twice`);
    attributes.set(name, decode(attribute.slice(equals + 1), text));
  }
  return attributes;
}

/** To bytes: an id need not be text. */
function decode(value: string, text: string): Buffer {
  if (!/^(?:%[0-9A-Fa-f]{2}|[^%\0])+$/.test(value))
    throw malformed(text, 'a value in it is empty or not percent-encoded');
  const parts = value.match(/%[0-9A-Fa-f]{2}|[^%]+/g) ?? [];
  return Buffer.concat(
    parts.map((part) => (part.startsWith('%') ? Buffer.from(part.slice(1), 'hex') : Buffer.from(part))),
  );
}

function pinFileOf(source: string, text: string): string {
  try {
    const path = source.startsWith('file://') ? fileURLToPath(source) : source.replace(/^file:/, '');
    if (isAbsolute(path)) return path;
  } catch {
    // Said below.
  }
  throw malformed(text, 'pin-source is a file by its whole path');
}

function malformed(text: string, what: string): SigningError {
  return new SigningError('MALFORMED', `${text.slice(0, 200)} does not name a key on a token: ${what}`);
}
