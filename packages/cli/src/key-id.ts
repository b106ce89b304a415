/** How keys are shown: by the first digits of their id, and by what this machine calls them. */
import { isManaged, type PublicKey } from '@mandate/metadata';

/**
 * What this machine calls the keys that it knows, by thumbprint and by key id. A name of somebody else's key says that it
 * was given here: it is no claim of the tenant, and nothing verifies it.
 */
export type Names = ReadonlyMap<string, string>;

/** The first digits of a key id: enough for a person to tell keys apart. */
export function shortKeyId(keyId: string): string {
  return keyId.slice(0, 12);
}

/**
 * `3f0c... (release)`, `91ab... (bob, as named here)`, or the digits alone.
 *
 * A key that a service holds is said to be `managed by the service`.
 *
 * @param key undefined where only the id is known; else its material decides, whatever id a file gives it
 */
export function keyText(keyId: string, key: PublicKey | undefined, names: Names): string {
  const name = names.get(key?.thumbprint ?? keyId);
  const managed = key !== undefined && isManaged(key) ? 'managed by the service' : undefined;
  const said = [name, managed].filter((word) => word !== undefined).join(', ');
  return said === '' ? shortKeyId(keyId) : `${shortKeyId(keyId)} (${said})`;
}
