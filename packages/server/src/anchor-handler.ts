/**
 * How a tenant's anchor stands in the one above; and taking detached anchors: what a tenant's `tenants` keys sign of a
 * private tenant below it. Until that signature is proven nothing of the child is looked up, so that a refusal tells
 * nothing of it.
 */
import {
  apiLimits,
  putAnchorRequestSchema,
  type AnchorOperation,
  type AnchorProposal,
  type AnchorState,
} from '@mandate/api';
import {
  anchorPath,
  checkDetachedAnchor,
  detachedAnchorRole,
  parentTenant,
  parseSegment,
  parseTargets,
  requireDetachedContent,
  requireSuccessor,
  sha256Of,
  tenantSlug,
  type CheckedAnchor,
  type KeySet,
  type TenantPath,
} from '@mandate/metadata';
import type { ApiHandlers, FindReadable } from './api-handler.ts';
import { holdsAnchors, liveAnchor } from './anchor-proposal.ts';
import { readJson } from './body.ts';
import { hasGrant, type Caller } from './caller.ts';
import { storeAnchor } from './detached-anchor.ts';
import { ServerError } from './error.ts';
import { describe } from './principal.ts';
import type { ProposalView } from './proposal-view.ts';
import { transaction, type Database } from './sql/connection.ts';
import { readDetachedAnchor, type DetachedAnchorRow } from './sql/detached-anchor.ts';
import { newestAnchorProposal } from './sql/proposal.ts';
import { readGate } from './sql/restore.ts';
import type { SubmissionRules } from './submission.ts';
import type { OpenTenant, TenantRegistry } from './tenant-registry.ts';
import type { Tenant } from './tenant.ts';

export interface AnchorHandlerContext {
  readonly database: Database;
  readonly registry: TenantRegistry;
  readonly rules: SubmissionRules;
  readonly view: ProposalView;
  readonly readable: FindReadable;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Undefined for a name that no child can have. */
function segmentOf(text: string | undefined): string | undefined {
  try {
    return parseSegment(text ?? '');
  } catch {
    return undefined;
  }
}

/** By names alone, as a slug. */
function childSlug(parent: string, segment: string): string {
  return parent === '~' ? segment : `${parent}~${segment}`;
}

/** The keys that the live `targets` gives to `tenants`. @throws ServerError CONFLICT, FORBIDDEN */
async function tenantsKeys(
  tenant: Tenant,
  { production, exampleKeys }: SubmissionRules,
): Promise<Parameters<typeof checkDetachedAnchor>[0]> {
  await tenant.catchUp();
  const current = await tenant.current();
  const genesis = current.root?.genesis;
  const keySet: KeySet | undefined = (await current.role('targets'))?.file.delegations?.named(
    'tenants',
  )?.keySet;
  if (genesis === undefined || keySet === undefined)
    throw new ServerError(
      'CONFLICT',
      `tenant ${tenant.path} delegates to no role tenants, whose keys sign anchors`,
    );
  if (production && [...keySet.keys.values()].some(({ thumbprint }) => exampleKeys.has(thumbprint)))
    throw new ServerError('FORBIDDEN', 'role tenants names an example key, which anyone has', {
      role: 'tenants',
    });
  return { genesis, keySet };
}

function followsNot(segment: string, stored: number): ServerError {
  const role = detachedAnchorRole(segment);
  return new ServerError('CONFLICT', `${role} is at version ${stored}; sign version ${stored + 1}`, { role });
}

/**
 * What may come after what is stored: any version above it. Signers count by one; but a service whose database went back
 * takes the version that somebody kept, which readers may have seen.
 *
 * @throws ServerError CONFLICT; MetadataError MALFORMED/ANCHOR
 */
function requireNext(
  segment: string,
  stored: DetachedAnchorRow | undefined,
  { file, anchor }: CheckedAnchor,
): void {
  if (stored === undefined) return;
  if (file.version <= stored.version) throw followsNot(segment, stored.version);
  const before = requireDetachedContent(parseTargets(stored.bytes), segment);
  requireSuccessor(anchorPath(segment), before, anchor, detachedAnchorRole(segment));
}

export function createAnchorHandlers({
  database,
  registry,
  rules,
  view,
  readable,
  now,
}: AnchorHandlerContext): ApiHandlers<AnchorOperation> {
  /** By names alone for the child's owner, who need not be able to read the tenant above. */
  async function parentFor(caller: Caller, slug: string, segment: string | undefined): Promise<Tenant> {
    if (segment !== undefined && hasGrant(caller, { slug: childSlug(slug, segment) }, 'owner')) {
      const open = await registry.find(slug);
      if (open !== undefined) return open.tenant;
    }
    const { tenant } = await readable(caller, slug);
    if (hasGrant(caller, tenant, 'publisher')) return tenant;
    throw new ServerError(
      'FORBIDDEN',
      `only publishers of tenant ${tenant.path}, and owners of the tenant below, store its anchor`,
    );
  }

  async function proposalOf(above: OpenTenant, segment: string): Promise<AnchorProposal | undefined> {
    const number = await newestAnchorProposal(database.of(above.tenant.id), segment);
    const progress = number === undefined ? undefined : await view.progress(above, number);
    if (progress === undefined) return undefined;
    const { state, created, expires, ended, requirements } = progress;
    if (state !== 'open') return { state, created, ...(ended === undefined ? {} : { ended }) };
    // A name has one place; a proposal that moves it to a bin has two, and is as far as the one that lacks more.
    const counts = requirements
      .filter(({ role }) => holdsAnchors(role))
      .sort((a, b) => b.threshold - b.distinct - (a.threshold - a.distinct));
    const [count] = counts;
    return {
      state,
      created,
      expires,
      ...(count === undefined ? {} : { signed: count.distinct, threshold: count.threshold }),
    };
  }

  return {
    async getAnchor({ caller, parameters }) {
      const { tenant } = await readable(caller, parameters['slug']);
      if (!hasGrant(caller, tenant, 'owner'))
        throw new ServerError('FORBIDDEN', 'only an owner of the tenant sees how its anchor stands');
      const place = parentTenant(tenant.path as TenantPath);
      const above = place && (await registry.find(tenantSlug(place.parent)));
      if (place === undefined || above === undefined) return { status: 200, body: {} };
      const anchor = await liveAnchor(above.tenant, place.segment);
      const proposal = await proposalOf(above, place.segment);
      const body: AnchorState = {
        ...(anchor === undefined
          ? {}
          : { anchored: { rootVersion: anchor.rootVersion, status: anchor.status } }),
        ...(proposal === undefined ? {} : { proposal }),
      };
      return { status: 200, body };
    },

    async putAnchor({ caller, parameters, message }) {
      const segment = segmentOf(parameters['segment']);
      const parent = await parentFor(caller, parameters['slug'] ?? '', segment);
      const { metadata } = await readJson(message, putAnchorRequestSchema, apiLimits.anchorBytes);
      if (segment === undefined) throw new ServerError('MALFORMED', 'no tenant can have this name');
      const bytes = Buffer.from(metadata);
      const at = now();
      const checked = checkDetachedAnchor(await tenantsKeys(parent, rules), segment, bytes, at);
      const body = { version: checked.file.version, digest: sha256Of(bytes) };
      const fresh = await transaction(database, async (session) => {
        // Owners of the child come past the gate for writes, which tells those alone who may read the tenant above.
        if ((await readGate(session, parent.slug)).tenant)
          throw new ServerError('READ_ONLY', 'the tenant above was restored from a backup and is read-only');
        const stored = await readDetachedAnchor(session.of(parent.id), segment);
        if (stored?.bytes.equals(bytes) === true) return false;
        requireNext(segment, stored, checked);
        if (!(await storeAnchor(session, parent, segment, checked, describe(caller), at)))
          throw followsNot(segment, body.version);
        return true;
      });
      return { status: fresh ? 201 : 200, body };
    },
  };
}
