/** The first digits of a key id: enough for a person to tell keys apart. */
export function shortKeyId(keyId: string): string {
  return keyId.slice(0, 12);
}
