/** The public side of a key, `<name>.pub.json`: what a key folder knows without opening anything. Pure. */
import { keyIdOf, parsePublicKey, type KeyId, type PublicKey } from './metadata-stand-in.ts';
import { SigningError } from './error.ts';
import type { KeyName } from './key-name.ts';
import type { Publisher } from './publisher.ts';

export interface KeyRecord {
  readonly name: KeyName;
  readonly keyId: KeyId;
  readonly publicKey: PublicKey;
  /** Milliseconds since the epoch. */
  readonly created: number;
  /** The URI that opens the private key, such as `file:release`. */
  readonly heldIn: string;
  /** From an imported certificate: a claim, never trusted. */
  readonly publisher?: Publisher;
}

export function encodeKeyRecord({ keyId, publicKey, created, heldIn, publisher }: KeyRecord): string {
  const wire = {
    keyid: keyId,
    key: publicKey.wire,
    created: new Date(created).toISOString(),
    heldIn,
    ...(publisher && { publisher: { ...publisher, notAfter: new Date(publisher.notAfter).toISOString() } }),
  };
  return `${JSON.stringify(wire, undefined, 2)}\n`;
}

/** @throws SigningError `MALFORMED` */
export function parseKeyRecord(name: KeyName, text: string): KeyRecord {
  const malformed = (cause?: unknown): SigningError =>
    new SigningError('MALFORMED', `the public record of key ${name} is damaged`, { cause });
  let wire: unknown;
  let publicKey: PublicKey;
  try {
    wire = JSON.parse(text);
    publicKey = parsePublicKey(member(wire, 'key'));
  } catch (cause) {
    throw malformed(cause);
  }
  const created = time(member(wire, 'created'));
  const heldIn = member(wire, 'heldIn');
  const keyId = keyIdOf(publicKey);
  if (member(wire, 'keyid') !== keyId || created === undefined || typeof heldIn !== 'string')
    throw malformed();

  const claim = member(wire, 'publisher');
  if (claim === undefined) return { name, keyId, publicKey, created, heldIn };
  const publisher = parsePublisher(claim);
  if (publisher === undefined) throw malformed();
  return { name, keyId, publicKey, created, heldIn, publisher };
}

function parsePublisher(wire: unknown): Publisher | undefined {
  const subject = member(wire, 'subject');
  const issuer = member(wire, 'issuer');
  const sha256 = member(wire, 'sha256');
  const notAfter = time(member(wire, 'notAfter'));
  if (typeof subject !== 'string' || typeof issuer !== 'string') return undefined;
  if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256) || notAfter === undefined)
    return undefined;
  return { subject, issuer, sha256, notAfter };
}

function member(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  return Reflect.get(value, name);
}

function time(value: unknown): number | undefined {
  const ms = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Number.isNaN(ms) ? undefined : ms;
}
