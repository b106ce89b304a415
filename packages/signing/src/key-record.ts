/** The public side of a key, `<name>.pub.json`: what a key folder knows without opening anything. Pure. */
import {
  formatDate,
  isObject,
  keyIdOf,
  member,
  parseDate,
  parseJson,
  parsePublicKey,
  type JsonObject,
  type KeyId,
  type PublicKey,
} from '@mandate/metadata';
import { SigningError } from './error.ts';
import type { KeyName } from './key-name.ts';
import type { Publisher } from './publisher.ts';

export interface KeyRecord {
  readonly name: KeyName;
  readonly keyId: KeyId;
  readonly publicKey: PublicKey;
  /** Milliseconds since the epoch, in whole seconds. */
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
    created: formatDate(created),
    heldIn,
    ...(publisher && { publisher: { ...publisher, notAfter: formatDate(publisher.notAfter) } }),
  };
  return `${JSON.stringify(wire, undefined, 2)}\n`;
}

/** @throws SigningError `MALFORMED` */
export function parseKeyRecord(name: KeyName, text: string): KeyRecord {
  try {
    const wire = object(parseJson(text).value);
    const publicKey = parsePublicKey(member(wire, 'key'));
    const keyId = keyIdOf(publicKey);
    if (string(wire, 'keyid') !== keyId) throw malformed('the key id is not that of the key');
    const claim = member(wire, 'publisher');
    return {
      name,
      keyId,
      publicKey,
      created: parseDate(string(wire, 'created')),
      heldIn: string(wire, 'heldIn'),
      ...(claim !== undefined && { publisher: parsePublisher(object(claim)) }),
    };
  } catch (cause) {
    throw new SigningError('MALFORMED', `the public record of key ${name} is damaged`, { cause });
  }
}

function parsePublisher(wire: JsonObject): Publisher {
  const sha256 = string(wire, 'sha256');
  if (!/^[0-9a-f]{64}$/.test(sha256)) throw malformed('sha256 is 64 hex digits');
  const notAfter = parseDate(string(wire, 'notAfter'));
  return { subject: string(wire, 'subject'), issuer: string(wire, 'issuer'), sha256, notAfter };
}

function object(value: Parameters<typeof isObject>[0]): JsonObject {
  if (!isObject(value)) throw malformed('not an object');
  return value;
}

function string(wire: JsonObject, name: string): string {
  const value = member(wire, name);
  if (typeof value !== 'string') throw malformed(`${name} is not text`);
  return value;
}

function malformed(what: string): SigningError {
  return new SigningError('MALFORMED', what);
}
