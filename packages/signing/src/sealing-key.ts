/** The keys that a service seals its online keys with. They come from its configuration, never from its database. */
import { createHmac, createSecretKey, randomBytes, type KeyObject } from 'node:crypto';
import { SigningError } from './error.ts';

export interface SealingKey {
  /** 16 hex digits, derived from the key; says which key opens a sealed one and nothing else about it. */
  readonly id: string;
  readonly secret: KeyObject;
}

/** New keys are sealed with `current`; `older` still open what they sealed. Rotation: put a new one first, reseal, drop the old. */
export interface SealingKeys {
  readonly current: SealingKey;
  readonly older: readonly SealingKey[];
}

const sealingKeyBytes = 32;

/** A new sealing key as text for a configuration: 43 base64url characters. It is a secret. */
export function generateSealingKey(): string {
  return randomBytes(sealingKeyBytes).toString('base64url');
}

/** @throws SigningError `MALFORMED`; the text is never repeated */
export function parseSealingKey(text: string): SealingKey {
  const bytes = Buffer.from(text, 'base64url');
  if (bytes.length !== sealingKeyBytes || bytes.toString('base64url') !== text) {
    throw new SigningError('MALFORMED', 'a sealing key is 32 bytes as 43 base64url characters');
  }
  const id = createHmac('sha256', bytes).update('mandate sealing key id').digest('hex').slice(0, 16);
  return { id, secret: createSecretKey(bytes) };
}

/** One or more keys separated by white space or commas, the current one first. @throws SigningError `MALFORMED` */
export function parseSealingKeys(text: string): SealingKeys {
  const [current, ...older] = text
    .split(/[\s,]+/)
    .filter((part) => part !== '')
    .map(parseSealingKey);
  if (current === undefined) throw new SigningError('MALFORMED', 'there is no sealing key');
  return { current, older };
}
