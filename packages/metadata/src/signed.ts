/** What all four role types have in common (TUF specification 4.3 to 4.6), and the binding of files to their place. */
import { isDigest, type Digest } from './digest.ts';
import type { Envelope } from './envelope.ts';
import { malformed, MetadataError } from './error.ts';
import { member, type JsonObject } from './json.ts';
import { parseDate } from './time.ts';

export type RoleType = 'root' | 'timestamp' | 'snapshot' | 'targets';

/** Fields of every `signed` part. */
export interface Signed {
  readonly envelope: Envelope;
  /** 1 or more. */
  readonly version: number;
  /** Milliseconds since the epoch; valid before, expired from then on. */
  readonly expires: number;
  /** `x-mandate-tenant`, where present. */
  readonly tenant: Digest | undefined;
}

/** `spec_version` that we write. */
export const specVersion = '1.0.34';

export function textMember(object: JsonObject, name: string): string {
  const value = member(object, name);
  if (typeof value !== 'string') throw malformed('SHAPE', `"${name}" is text`);
  return value;
}

/** An integer of `least` or more. */
export function countMember(object: JsonObject, name: string, least: number): number {
  const value = member(object, name);
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least) {
    throw malformed('SHAPE', `"${name}" is an integer of ${least} or more`);
  }
  return value;
}

/** @throws MetadataError MALFORMED. */
export function parseSigned(envelope: Envelope, type: RoleType): Signed {
  const { signed } = envelope;
  if (textMember(signed, '_type') !== type) throw malformed('TYPE', `not a ${type} file`);
  // Repositories before 1.0 was settled wrote "1.0" or "1.0.0"; the major version decides.
  if (!/^1\.[0-9]{1,9}(?:\.[0-9]{1,9})?$/.test(textMember(signed, 'spec_version'))) {
    throw malformed('SPEC_VERSION', 'a version of the specification that is not 1.x');
  }
  const tenant = member(signed, 'x-mandate-tenant');
  if (tenant !== undefined && (typeof tenant !== 'string' || !isDigest(tenant))) {
    throw malformed('SHAPE', '"x-mandate-tenant" is a digest');
  }
  return {
    envelope,
    version: countMember(signed, 'version', 1),
    expires: parseDate(textMember(signed, 'expires')),
    tenant,
  };
}

/** @throws MetadataError EXPIRED at or after the expiry (TUF specification 5.3.10). */
export function requireUnexpired(file: Signed, role: string, now: number): void {
  if (now < file.expires) return;
  throw new MetadataError(
    'EXPIRED',
    'EXPIRES',
    `role ${role}, version ${file.version}, expired ${new Date(file.expires).toISOString()}`,
    { role },
  );
}

/** @throws MetadataError MALFORMED/BINDING unless the file says that it belongs to the tenant (DESIGN section 3). */
export function requireTenant(file: Signed, genesis: Digest, role: string): void {
  if (file.tenant !== genesis)
    throw malformed('BINDING', `role ${role}: the file belongs to another tenant`, role);
}
