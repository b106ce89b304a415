export {
  anchorPath,
  anchorStatuses,
  anchorTarget,
  childTenant,
  detachedAnchorRole,
  detachedFloorOf,
  maxAnchorUrls,
  parentTenant,
  parseAnchor,
  parseSegment,
  requireDetachedContent,
  requireSuccessor,
  segmentOfAnchor,
  segmentOfDetached,
  verifyDetachedAnchor,
  type Anchor,
  type AnchorStatus,
  type DetachedAnchor,
  type DetachedFloor,
} from './anchor.ts';
export { canonicalBytes, compareCodePoints, wireText } from './canonical.ts';
export type { CurrentRole, CurrentTenant } from './delegation-tree.ts';
export { binName, binNumber, type Delegation, type Delegations, type SuccinctBins } from './delegation.ts';
export { checkDetachedAnchor, checkKeptAnchor, type CheckedAnchor } from './detached-rules.ts';
export { digestFromHex, hexOf, isDigest, parseDigest, sha256Of, type Digest } from './digest.ts';
export {
  emptyRole,
  firstRoot,
  nextRoot,
  nextVersion,
  withBins,
  withDelegation,
  withoutDelegation,
  withoutTargets,
  withTargets,
  type NewTarget,
  type RoleKeys,
  type RootRoles,
} from './edit.ts';
export {
  encodeEnvelope,
  encodeEnvelopeText,
  isWireForm,
  parseEnvelope,
  signingBytes,
  type Envelope,
  type Signature,
} from './envelope.ts';
export {
  MetadataError,
  verdictCodes,
  type FailureCode,
  type MetadataReason,
  type VerdictCode,
} from './error.ts';
export { isObject, member, parseJson, type JsonObject, type JsonValue } from './json.ts';
export {
  hasManagedMark,
  isManaged,
  keyIdOf,
  markManaged,
  parsePublicKey,
  publicKeyFromKeyObject,
  type KeyId,
  type KeyScheme,
  type PublicKey,
} from './key.ts';
export {
  binPrefixOf,
  contains,
  covers,
  heldScope,
  isWellNamed,
  leafOf,
  orderOf,
  ownerOf,
  ownRoles,
  parseScope,
  patternsOf,
  reservedRole,
  roleOfScope,
  scopeOfRole,
  type Scope,
} from './layout.ts';
export { limits } from './limits.ts';
export { lookupTarget, type Lookup, type Step } from './lookup.ts';
export { matches, type Hashes, type MetaFile } from './meta-file.ts';
export {
  parseReferencePart,
  parseRepository,
  parseRoleName,
  parseTargetPath,
  parseTenantPath,
  parseTenantSlug,
  roleFileName,
  targetPath,
  tenantSlug,
  type Repository,
  type RoleName,
  type TargetPath,
  type TenantPath,
} from './name.ts';
export { matchesPattern } from './pattern.ts';
export { nextOnlineVersion, servedName, snapshotEntry, snapshotText, timestampText } from './online-file.ts';
export {
  checkPublication,
  planPublication,
  type AcceptedPublication,
  type AcceptedRole,
  type Requirement,
  type SubmittedFile,
} from './publication.ts';
export {
  assembleProposal,
  missingKeys,
  proposalDigest,
  proposalStatus,
  requireSignature,
  type Collected,
  type ProposalStatus,
  type ProposedFile,
  type RequirementStatus,
} from './proposal.ts';
export {
  parseRecoveryFile,
  Recovery,
  type LoadRole,
  type MissingFile,
  type RecoveredRole,
  type RecoveryBase,
  type RecoveryFile,
  type RecoveryPlan,
  type Taken,
} from './recovery.ts';
export { parseRoot, profileVersion, topLevelRoles, type Root } from './root.ts';
export { requireUnexpired, specVersion, type RoleType, type Signed } from './signed.ts';
export { parseSnapshot, type Snapshot } from './snapshot.ts';
export { parseTargets, type TargetFile, type Targets } from './targets.ts';
export {
  distinctKeys,
  requireThreshold,
  sameKeySet,
  signingStatus,
  type KeySet,
  type SigningStatus,
  type Verified,
} from './threshold.ts';
export { formatDate, parseDate } from './time.ts';
export { parseTimestamp, type Timestamp } from './timestamp.ts';
export { TrustedMetadata } from './trusted.ts';
