/** What is asked of a verifier, with its names parsed. */
import { isDigest, parseDigest, parseRepository, targetPath, type Digest } from '@mandate/metadata';
import type { Updater } from './updater.ts';

/** What somebody is about to use. */
export interface Question {
  /** Whom the answer starts from: the tenant itself, or one above it that anchors it. */
  readonly tenant: Updater;
  /** Inside that tenant, no host: `team/app`, or `acme/labs/app` where `acme` and `labs` are tenants of their own. */
  readonly repository: string;
  /** A tag, or `sha256:<hex>`. */
  readonly reference: string;
  /** What the registry offers under that reference. */
  readonly presented?: {
    readonly digest?: string | undefined;
    /** Bytes. */
    readonly size?: number | undefined;
    readonly mediaType?: string | undefined;
  };
  /** Further digests that the verdict covers and that must not be distrusted: manifests followed, the base. */
  readonly covers?: readonly string[];
}

/** A question with its names parsed. */
export interface Asked {
  readonly question: Question;
  /** Digests to look up as distrusted before the tenant's own answer is known. */
  readonly digests: readonly Digest[];
}

/** @throws MetadataError MALFORMED/NAME. */
export function parseQuestion(question: Question): Asked {
  const { repository, reference, presented, covers = [] } = question;
  targetPath(parseRepository(repository), reference);
  const digests = new Set(
    [...(presented?.digest === undefined ? [] : [presented.digest]), ...covers].map(parseDigest),
  );
  if (isDigest(reference)) digests.add(reference);
  return { question, digests: [...digests] };
}
