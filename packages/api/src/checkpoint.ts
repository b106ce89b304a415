/**
 * Checkpoints: the service's signed word on where both chains of a tenant's audit log stood. The envelope is DSSE; what
 * is signed is the pre-authentication encoding of type and payload.
 */
import { parseDigest, type Digest, type KeyId, type PublicKey } from '@mandate/metadata';
import { dsse } from '@sigstore/core';
import { z } from 'zod';
import { checkpointEnvelopeSchema, type AuditPosition, type CheckpointEnvelope } from './audit.ts';

export const checkpointType = 'application/vnd.mandate.audit-checkpoint.v1+json';

export interface Checkpoint {
  /** The tenant's slug, or `@service`. */
  readonly tenant: string;
  /** Absent while the tenant is only reserved, and for the service. */
  readonly genesis?: Digest;
  /** When it was signed, ISO 8601. */
  readonly time: string;
  readonly publications: AuditPosition;
  readonly administration: AuditPosition;
}

const hashForm = /^[0-9a-f]{64}$/;
const maxEnvelopeLength = 16_384;

const positionSchema = z.strictObject({ seq: z.int().min(0), hash: z.string().regex(hashForm) });
const checkpointSchema = z.strictObject({
  tenant: z.string().min(1),
  genesis: z.string().transform(parseDigest).exactOptional(),
  time: z.iso.datetime(),
  publications: positionSchema,
  administration: positionSchema,
});

/** The payload, UTF-8. */
export function encodeCheckpoint(checkpoint: Checkpoint): Buffer {
  return Buffer.from(JSON.stringify(checkpoint));
}

/** The bytes that a signature of this payload is over. */
export function checkpointBytes(payload: Buffer): Uint8Array {
  return dsse.preAuthEncoding(checkpointType, payload);
}

export function checkpointEnvelope(payload: Buffer, keyId: KeyId, signature: Uint8Array): CheckpointEnvelope {
  return {
    payloadType: checkpointType,
    payload: payload.toString('base64'),
    signatures: [{ keyid: keyId, sig: Buffer.from(signature).toString('base64') }],
  };
}

/** Reads the text of a file. Undefined where it is no checkpoint. */
export function parseCheckpointText(text: string): CheckpointEnvelope | undefined {
  if (text.length > maxEnvelopeLength) return undefined;
  try {
    return checkpointEnvelopeSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/**
 * What a checkpoint says. Undefined unless one of these keys signed exactly these bytes and they are of our type: only
 * what was verified is parsed.
 */
export function openCheckpoint(
  { payloadType, payload, signatures }: CheckpointEnvelope,
  keys: ReadonlyMap<KeyId, PublicKey>,
): Checkpoint | undefined {
  if (payloadType !== checkpointType) return undefined;
  const bytes = Buffer.from(payload, 'base64');
  const signed = checkpointBytes(bytes);
  const isSigned = signatures.some(({ keyid, sig }) => {
    const key = keys.get(keyid as KeyId);
    return key !== undefined && key.verify(signed, Buffer.from(sig, 'base64'));
  });
  if (!isSigned) return undefined;
  try {
    return checkpointSchema.safeParse(JSON.parse(bytes.toString())).data;
  } catch {
    return undefined;
  }
}
