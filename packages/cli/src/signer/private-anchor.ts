/** The anchor of a private tenant as the holders of its parent's `tenants` keys see it: what is served, what is signed next. */
import { ClientError } from '@mandate/client';
import {
  anchorPath,
  anchorTarget,
  detachedAnchorRole,
  emptyRole,
  encodeEnvelope,
  limits,
  MetadataError,
  parseEnvelope,
  parseTargets,
  requireDetachedContent,
  requireSuccessor,
  roleFileName,
  signingBytes,
  verifyDetachedAnchor,
  withTargets,
  type Anchor,
  type JsonObject,
  type KeySet,
  type SigningStatus,
  signingStatus,
  type TargetFile,
  type Targets,
} from '@mandate/metadata';
import { signaturesOver } from '@mandate/signing';
import { CliError } from '../error.ts';
import type { Keyring } from '../keyring.ts';
import { top } from './base.ts';
import { verifiedBase, type TenantSource, type VerifiedBase } from './verified-base.ts';

/** The tenant above, with the keys that sign anchors in it. */
export interface AnchoringTenant {
  readonly source: TenantSource;
  readonly base: VerifiedBase;
  readonly keySet: KeySet;
}

export interface ServedAnchor {
  readonly version: number;
  /** Undefined where the keys of today do not vouch for it. */
  readonly anchor: Anchor | undefined;
  /** As the file lists it, for a person to compare. */
  readonly entry: TargetFile | undefined;
}

/** @throws CliError NO_ROLE */
export async function anchoringTenant(source: TenantSource, now: number): Promise<AnchoringTenant> {
  const base = await verifiedBase(source, now);
  const keySet = (await base.role(top)).delegations?.named('tenants')?.keySet;
  if (keySet !== undefined) return { source, base, keySet };
  throw new CliError('NO_ROLE', 'the tenant delegates to no role tenants, which holds anchors', {
    role: 'targets',
  });
}

/**
 * The anchor as this reader is served it; one that has expired, or that keys from before signed, is what the next follows.
 *
 * @throws MetadataError, ClientError: what keeps a reader from following it keeps a signer from going on with it
 */
export async function servedAnchor(
  { source: { source, store }, base }: AnchoringTenant,
  segment: string,
  now: number,
): Promise<ServedAnchor | undefined> {
  const role = detachedAnchorRole(segment);
  const floor = (await store.met()).get(segment)?.detached;
  const bytes = await source.fetch(roleFileName(role), limits.detachedAnchorBytes);
  if (bytes === undefined) {
    if (floor === undefined) return undefined;
    const message = `the anchor of ${segment} is not served to this machine, which saw version ${floor.version}`;
    throw new ClientError('FORBIDDEN', 'ANCHOR_GONE', message, { role });
  }
  try {
    const { anchor, verified } = verifyDetachedAnchor(base.trusted, segment, bytes, floor, now);
    const { file } = verified;
    return { version: file.version, anchor, entry: file.targets.get(anchorPath(segment)) };
  } catch (error) {
    const isOld =
      error instanceof MetadataError &&
      error.role === role &&
      (error.code === 'EXPIRED' || error.code === 'THRESHOLD_NOT_MET');
    if (!isOld) throw error;
    const file = parseTargets(bytes);
    const anchor = requireDetachedContent(file, segment);
    if (error.code !== 'EXPIRED') return { version: file.version, anchor: undefined, entry: undefined };
    return { version: file.version, anchor, entry: file.targets.get(anchorPath(segment)) };
  }
}

/** @param expires milliseconds since the epoch @throws MetadataError MALFORMED/ANCHOR for what it may not become */
export function nextAnchor(
  { base }: AnchoringTenant,
  segment: string,
  before: ServedAnchor | undefined,
  after: Anchor,
  expires: number,
): JsonObject {
  const [role, path] = [detachedAnchorRole(segment), anchorPath(segment)];
  if (before?.anchor !== undefined) requireSuccessor(path, before.anchor, after, role);
  const empty = emptyRole(role, base.genesis, (before?.version ?? 0) + 1, expires);
  return withTargets(empty, new Map([[path, anchorTarget(after)]]));
}

/** A file with the signatures that it has, of this tenant's child. @throws CliError FILE; MetadataError MALFORMED */
export function anchorFile({ base }: AnchoringTenant, segment: string, bytes: Uint8Array): Targets {
  const file = parseTargets(bytes);
  requireDetachedContent(file, segment);
  if (file.tenant === base.genesis) return file;
  throw new CliError('FILE', 'the file is about another tenant');
}

export interface SignedAnchor {
  readonly bytes: Uint8Array;
  readonly status: SigningStatus;
  /** Keys of this machine that signed now. */
  readonly added: number;
}

/** Adds the signatures of keys that are here, no more than are missing; others of no key of the role are left out. */
export async function signAnchor(
  { keySet }: AnchoringTenant,
  { envelope }: Targets,
  keyring: Keyring,
): Promise<SignedAnchor> {
  const { signed } = signingStatus(envelope, keySet);
  const kept = envelope.signatures.filter(({ keyId }) => signed.includes(keyId));
  const signers = await keyring.signersAtHand([{ keySet, signed }]);
  const made = await signaturesOver(signingBytes(envelope.signed), signers);
  const bytes = encodeEnvelope(envelope.signed, [...kept, ...made]);
  const status = signingStatus(parseEnvelope(bytes, limits.detachedAnchorBytes), keySet);
  return { bytes, status, added: made.length };
}
