export type { FoundAnchor, OpenChild, OpenedChild } from './children.ts';
export { verifyBelow, type Above, type Agreement } from './agreement.ts';
export { crossCheck, type CrossCheck, type TheirAnswer } from './cross-check.ts';
export { ClientError, type ClientReason, type ErrorReason } from './error.ts';
export type {
  AncestorEvidence,
  Ancestors,
  Evidence,
  KeyEvidence,
  Link,
  RootFrom,
  Statement,
  TenantEvidence,
} from './evidence.ts';
export { FallbackSource } from './fallback-source.ts';
export { FolderSource } from './folder-source.ts';
export { FolderStore, storedName } from './folder-store.ts';
export { HttpSource, type HttpSourceOptions } from './http-source.ts';
export { lineageEvidence, type Ancestor, type Lineage, type Member } from './lineage.ts';
export { MemorySource } from './memory-source.ts';
export { MemoryStore } from './memory-store.ts';
export { RootHistory, rootDigest, type Pin } from './pin.ts';
export type { Policy } from './policy.ts';
export { anchorAt, reach } from './reach.ts';
export type { FetchMode } from './refresh.ts';
export type { Source } from './source.ts';
export type { MetChild, StoredTrust, TrustChange, TrustStore } from './store.ts';
export { fetchTarget, targetFileName } from './target-file.ts';
export {
  emptyTrust,
  encodeTrust,
  isAbove,
  parseOrigin,
  parseTrust,
  resolveName,
  withoutTenant,
  withTenant,
  type ResolvedName,
  type TrustConfig,
  type TrustedTenant,
} from './trust.ts';
export { Updater, type UpdaterOptions } from './updater.ts';
export type { JudgementReason, Refused, Verdict, Verified } from './verdict.ts';
export type { Question } from './question.ts';
export { verify, verifyLoaded } from './verify.ts';
export type { Answer, Hints, View } from './view.ts';
