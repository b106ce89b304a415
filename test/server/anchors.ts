/** Anchors in tests of the service: of a child's first root, and in a file of its own for a private one. */
import {
  anchorPath,
  anchorTarget,
  detachedAnchorRole,
  emptyRole,
  sha256Of,
  withTargets,
  type Anchor,
  type JsonObject,
} from '@mandate/metadata';
import { signed, type Owner } from './owner.ts';

const day = 86_400_000;

export function anchorOf(owner: Owner, change: Partial<Anchor> = {}): Anchor {
  const bytes = Buffer.from(owner.rootText);
  return {
    genesis: owner.genesis,
    rootVersion: 1,
    rootDigest: sha256Of(bytes),
    rootLength: bytes.length,
    metadataUrls: ['https://mandate.example/tuf/child/metadata'],
    status: 'active',
    ...change,
  };
}

/** @param change members of `signed` that are to be others */
export function detachedContent(
  parent: Owner,
  segment: string,
  anchor: Anchor,
  version = 1,
  change: JsonObject = {},
): JsonObject {
  const role = emptyRole(detachedAnchorRole(segment), parent.genesis, version, Date.now() + 30 * day);
  return { ...withTargets(role, new Map([[anchorPath(segment), anchorTarget(anchor)]])), ...change };
}

/** Signed by the parent's `tenants` key. */
export function detachedFile(...content: Parameters<typeof detachedContent>): Promise<string> {
  const [parent] = content;
  return signed(detachedContent(...content), [parent.signerFor('tenants')]);
}
