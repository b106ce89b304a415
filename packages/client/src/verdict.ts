/** The answer to a verification. Refusals are answers too: nothing is thrown for them. */
import { MetadataError, type FailureCode, type SigningStatus } from '@mandate/metadata';
import { ClientError, type ErrorReason } from './error.ts';
import type { Evidence } from './evidence.ts';

/** Why an answer that needed no error is a refusal. */
export type JudgementReason =
  | 'NOT_LISTED' // no role vouches for the path
  | 'DIGEST' // signed for another digest
  | 'LENGTH' // signed for another size
  | 'MEDIA_TYPE' // signed for another media type
  | 'NO_DIGEST' // the statement has no sha256 to compare with
  | 'SUSPENDED' // the parent suspended the tenant that the name belongs to
  | 'REMOVED' // the parent ended the tenant that the name belongs to
  | 'CHILD' // the name is a child tenant's own, and names no repository in it
  | 'NO_ANCHOR' // a tenant above that must agree does not anchor this one
  | 'OTHER_ANSWER' // a tenant above that must agree gives another answer
  | 'ROOT_FROM' // the policy asks for a pinned root, and this one was found through an anchor
  | 'LISTED' // the tenant distrusts the digest
  | 'AGE' // the newest timestamp is older than the policy allows
  | 'NO_ISSUE_TIME' // the policy has a maximum age and the timestamp does not say when it was issued
  | 'MANAGED' // enough keys signed only with those that the service holds, and the policy refuses them
  | 'POLICY'; // fewer keys than the policy asks for

export interface Verified {
  readonly code: 'VERIFIED';
  readonly evidence: Evidence;
}

export interface Refused {
  readonly code: FailureCode;
  /** Which rule was broken. */
  readonly reason: ErrorReason | JudgementReason;
  /** The role at fault, where one is. */
  readonly role?: string;
  /** Who signed the file at fault and who did not, where too few keys did. */
  readonly signing?: Pick<SigningStatus, 'threshold' | 'signed' | 'missing'>;
  readonly message: string;
  /** What to do next. */
  readonly hint: string;
  /** As far as the chain was followed. */
  readonly evidence?: Evidence;
}

export type Verdict = Verified | Refused;

const hints: Record<FailureCode, string> = {
  NOT_SIGNED: 'ask the publisher to sign it, or check the name',
  DIGEST_MISMATCH: 'do not use it: what was offered is not what was signed',
  THRESHOLD_NOT_MET: 'ask the owners of the role for the missing signatures',
  EXPIRED: 'ask the owners of the role to sign a new version; check this clock',
  STALE: 'check this clock, and that the repository still issues timestamps',
  ROLLBACK: 'somebody offers an older state; use another mirror and tell the owners',
  DISTRUSTED: 'do not use it: the tenant withdrew this digest',
  ROOT_REPLACED:
    'compare the genesis with the owners by another way; only then: mandate trust forget <tenant>',
  NO_TRUST_ROOT: 'pin the tenant: mandate trust add',
  NOT_AGREED: 'see which of the roots that the policy asks for does not agree',
  UNREACHABLE: 'check the network and the metadata URL, then try again',
  MALFORMED: 'the repository serves metadata that breaks the rules; tell its owners',
  LIMIT_EXCEEDED: 'the repository serves more than a verifier reads; tell its owners',
  FORBIDDEN: 'log in with an account that may read this tenant',
};

export function refusal(
  code: FailureCode,
  reason: Refused['reason'],
  message: string,
  more: {
    role?: string | undefined;
    signing?: SigningStatus | undefined;
    evidence?: Evidence | undefined;
  } = {},
): Refused {
  const { role, signing, evidence } = more;
  return {
    code,
    reason,
    ...(role === undefined ? {} : { role }),
    ...(signing === undefined
      ? {}
      : { signing: { threshold: signing.threshold, signed: signing.signed, missing: signing.missing } }),
    message,
    hint: hints[code],
    ...(evidence === undefined ? {} : { evidence }),
  };
}

/** The verdict that an error stands for. Anything but an error of ours is a fault in the program and is thrown on. */
export function refusalOf(error: unknown): Refused {
  if (error instanceof MetadataError) {
    const { code, reason, message, role, signing } = error;
    return refusal(code, reason, message, { role, signing });
  }
  if (error instanceof ClientError) {
    return refusal(error.code, error.reason, error.message, { role: error.role });
  }
  throw error;
}
