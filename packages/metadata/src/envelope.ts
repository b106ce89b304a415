/**
 * The outer object of every metadata file (TUF specification 4.2): the `signed` part, the bytes its signatures cover,
 * and the signatures. What was verified is the only thing parsed on.
 */
import { isUtf8 } from 'node:buffer';
import { canonicalBytes, wireText } from './canonical.ts';
import { malformed, MetadataError } from './error.ts';
import { isObject, member, parseProven, type JsonObject, type JsonValue } from './json.ts';
import type { KeyId } from './key.ts';
import { limits } from './limits.ts';
import { outerSpans, type Span } from './spans.ts';

export interface Signature {
  readonly keyId: KeyId;
  /** Empty where the text was empty or not hex: such a signature verifies under no key. */
  readonly sig: Uint8Array;
}

export interface Envelope {
  /** The file as received; stored and served like this. */
  readonly bytes: Uint8Array;
  readonly signed: JsonObject;
  /** The canonical form of `signed`: what signatures cover. */
  readonly signedBytes: Uint8Array;
  readonly signatures: readonly Signature[];
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const hexForm = /^(?:[0-9a-fA-F]{2})*$/;

function parseSignatures(value: JsonValue): Signature[] {
  if (!Array.isArray(value)) throw malformed('SHAPE', '"signatures" is not a list');
  if (value.length > limits.signatures) {
    throw new MetadataError('LIMIT_EXCEEDED', 'COUNT', `more than ${limits.signatures} signatures`);
  }
  const seen = new Set<string>();
  return value.map((entry) => {
    const keyId = isObject(entry) ? member(entry, 'keyid') : undefined;
    const sig = isObject(entry) ? member(entry, 'sig') : undefined;
    if (typeof keyId !== 'string' || typeof sig !== 'string')
      throw malformed('SHAPE', 'a signature has keyid and sig');
    if (seen.has(keyId)) throw malformed('SHAPE', 'two signatures of one key id');
    seen.add(keyId);
    return { keyId: keyId as KeyId, sig: Buffer.from(hexForm.test(sig) ? sig : '', 'hex') };
  });
}

function parseSpan(bytes: Uint8Array, { start, end, wire }: Span): JsonValue {
  return parseProven(decoder.decode(bytes.subarray(start, end)), wire);
}

/**
 * Limits first, then the two spans, then each span strictly.
 *
 * @param maxBytes the limit of this kind of file, see `limits`
 * @throws MetadataError MALFORMED or LIMIT_EXCEEDED.
 */
export function parseEnvelope(bytes: Uint8Array, maxBytes: number): Envelope {
  if (bytes.length > maxBytes) {
    throw new MetadataError('LIMIT_EXCEEDED', 'SIZE', `${bytes.length} bytes, at most ${maxBytes} are read`);
  }
  if (!isUtf8(bytes)) throw malformed('JSON', 'not UTF-8');
  const spans = outerSpans(bytes);
  if (spans.signatures.end - spans.signatures.start > limits.signaturesBytes) {
    throw new MetadataError('LIMIT_EXCEEDED', 'SIZE', 'the list of signatures is too long');
  }
  const signatures = parseSignatures(parseSpan(bytes, spans.signatures));
  const signed = parseSpan(bytes, spans.signed);
  if (!isObject(signed)) throw malformed('SHAPE', '"signed" is not an object');
  const { start, end, wire } = spans.signed;
  const signedBytes = wire ? bytes.subarray(start, end) : canonicalBytes(signed);
  return { bytes, signed, signedBytes, signatures };
}

/** What a signer signs: the canonical form of `signed`, UTF-8. */
export function signingBytes(signed: JsonObject): Uint8Array {
  return canonicalBytes(signed);
}

/** The file in the one form that we write, UTF-8. */
export function encodeEnvelope(signed: JsonObject, signatures: readonly Signature[]): Uint8Array {
  return encodeEnvelopeText(wireText(signed), signatures);
}

/** As `encodeEnvelope`, for a `signed` part that is already in wire form. */
export function encodeEnvelopeText(signedText: string, signatures: readonly Signature[]): Uint8Array {
  const list = signatures.map(({ keyId, sig }) => ({ keyid: keyId, sig: Buffer.from(sig).toString('hex') }));
  return Buffer.from(`{"signatures":${JSON.stringify(list)},"signed":${signedText}}`);
}

/** Whether the file is byte for byte what we would have written. */
export function isWireForm(envelope: Envelope): boolean {
  return Buffer.compare(envelope.bytes, encodeEnvelope(envelope.signed, envelope.signatures)) === 0;
}
