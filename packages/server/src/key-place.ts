/**
 * Where new keys of the service are held: sealed in the database, or at a URI made from a template, one for each
 * tenant, purpose and number. A key opens only where the configuration allows: a URI that somebody wrote into the
 * database leads nowhere by itself, as an `exec:` one would run a program. Pure.
 */
import { parseKeyUri } from '@mandate/signing';
import { ServerError } from './error.ts';
import type { KeyPurpose } from './sql/online-key.ts';

/** What a key is for. */
export interface KeyUse {
  /** Slug of the tenant. */
  readonly tenant: string;
  readonly purpose: KeyPurpose;
  readonly number: number;
  /** Of a managed key: the role that it signs for. */
  readonly role?: string | undefined;
}

/** `sealed`, or a template with `{tenant}`, `{role}` and `{version}`. */
export type KeyPlace = string & { readonly brand: 'KeyPlace' };

/** New keys come from the first; keys that were made in the others still sign. Sealed keys always do. */
export type KeyPlaces = readonly [KeyPlace, ...KeyPlace[]];

const sealed = 'sealed' as KeyPlace;
export const sealedPlaces: KeyPlaces = [sealed];

const placeholders = ['{tenant}', '{role}', '{version}'] as const;

/**
 * Places separated by white space, the current one first.
 *
 * @throws ServerError CONFIGURATION; the text is never repeated
 */
export function parseKeyPlaces(text: string, name: string): KeyPlaces {
  const [current, ...older] = text.split(/\s+/).filter((part) => part !== '');
  if (current === undefined) return sealedPlaces;
  return [parsePlace(current, name), ...older.map((part) => parsePlace(part, name))];
}

function parsePlace(text: string, name: string): KeyPlace {
  if (text === sealed) return sealed;
  const wrong = (expected: string): ServerError => new ServerError('CONFIGURATION', `${name}: ${expected}`);
  if (placeholders.some((placeholder) => text.split(placeholder).length !== 2))
    throw wrong('"sealed", or a key URI with {tenant}, {role} and {version}, each once');
  if (/\{(?!(?:tenant|role|version)\})|pin-value=/i.test(text))
    throw wrong('its placeholders are {tenant}, {role} and {version}, and a PIN does not belong in it');
  try {
    parseKeyUri(text);
  } catch {
    throw wrong('"sealed", or a key URI such as pkcs11:..., awskms:..., exec:... or file:...');
  }
  return text as KeyPlace;
}

/** Slugs hold what any URI may; aliases in AWS KMS hold less. */
function spelled(tenant: string, place: KeyPlace): string {
  if (!place.startsWith('awskms:')) return tenant;
  return tenant.replaceAll(/[^a-z0-9-]/g, (char) => `_${(char.codePointAt(0) ?? 0).toString(16)}`);
}

/** Undefined for keys that are sealed. */
export function uriAt(place: KeyPlace, { tenant, purpose, number }: KeyUse): string | undefined {
  if (place === sealed) return undefined;
  return place
    .replace('{tenant}', () => spelled(tenant, place))
    .replace('{role}', purpose)
    .replace('{version}', String(number));
}

/** Whether a key of this use may be opened at this URI. */
export function isAllowed(places: KeyPlaces, uri: string, use: KeyUse): boolean {
  return places.some((place) => uriAt(place, use) === uri);
}
