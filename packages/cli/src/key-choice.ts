/** The key that a person means: one of this machine by name, a public record, or the first digits of an id. */
import type { KeyId, PublicKey } from '@mandate/metadata';
import { CliError } from './error.ts';
import type { Keyring } from './keyring.ts';

/** Fewer digits could be anybody's. */
const idForm = /^[0-9a-f]{8,64}$/;

/** Whether the text is read as the beginning of a key id. */
export function isKeyIdText(text: string): boolean {
  return idForm.test(text);
}

/**
 * @param known the keys among which an id is looked up
 * @throws CliError NOT_FOUND; SigningError
 */
export async function chosenKey(
  keyring: Pick<Keyring, 'publicKey'>,
  text: string,
  known: ReadonlyMap<KeyId, PublicKey>,
): Promise<PublicKey> {
  if (!isKeyIdText(text)) return keyring.publicKey(text);
  const found = [...known].filter(([keyId]) => keyId.startsWith(text));
  const [first] = found;
  if (first !== undefined && found.length === 1) return first[1];
  throw new CliError(
    'NOT_FOUND',
    `${found.length === 0 ? 'no key' : 'more than one key'} has an id ${text}...`,
    {
      keys: found.map(([keyId]) => keyId),
      next: 'give the name of a key, <file>.pub.json, or more digits of its id',
    },
  );
}
