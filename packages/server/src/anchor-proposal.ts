/**
 * The one thing that owners of a child may do in its parent without a grant there: propose their own anchor. Judged from the
 * parsed files against what is live; the parent's `tenants` keys decide whether it becomes true.
 */
import type { CreateProposalRequest } from '@mandate/api';
import {
  anchorPath,
  childTenant,
  encodeEnvelopeText,
  isObject,
  parseAnchor,
  parseTargets,
  segmentOfAnchor,
  tenantSlug,
  wireText,
  type AcceptedPublication,
  type Anchor,
  type JsonObject,
  type Targets,
  type TenantPath,
} from '@mandate/metadata';
import { hasGrant, type Caller } from './caller.ts';
import { ServerError } from './error.ts';
import type { Queryable } from './sql/connection.ts';
import { findTenant } from './sql/tenant.ts';
import type { Tenant } from './tenant.ts';

/** The tenant above, by slug: `acme~labs` hangs below `acme`, `acme` below the registry tenant. */
function parentSlug(slug: string): string | undefined {
  if (slug === '~') return undefined;
  const at = slug.lastIndexOf('~');
  return at < 0 ? '~' : slug.slice(0, at);
}

/** Whether the caller owns a tenant directly below. By names alone: nothing is looked up. */
export function ownsChildOf(caller: Caller, slug: string): boolean {
  return caller.grants.some(({ tenant, level }) => level === 'owner' && parentSlug(tenant) === slug);
}

function refusal(why: string): ServerError {
  const message = `owners of a tenant propose its anchor in the tenant above and nothing else: ${why}`;
  return new ServerError('FORBIDDEN', message, { role: 'tenants' });
}

function entriesOf({ envelope }: Targets): Map<string, string> {
  const targets = envelope.signed['targets'];
  return new Map(
    Object.entries(isObject(targets) ? targets : {}).map(([path, one]) => [path, wireText(one)]),
  );
}

/** Everything in a file but its entries, its version and its expiry. */
function frameOf({ envelope }: Targets): string {
  const frame: JsonObject = { ...envelope.signed, targets: {}, version: 0, expires: '' };
  return wireText(frame);
}

/** Whether a role is the one that lists anchors, or one of its bins. */
export function holdsAnchors(role: string): boolean {
  return /^(?:bins~tenants-[0-9a-f]+|tenants)$/.test(role);
}

/** Tenants below, by their names there, whose anchors proposed files change. */
export async function changedAnchors(tenant: Tenant, { roles }: AcceptedPublication): Promise<string[]> {
  const current = await tenant.current();
  const changed = new Set<string>();
  for (const { name, file } of roles) {
    if (!holdsAnchors(name)) continue;
    const live = (await current.role(name))?.file;
    const paths = live === undefined ? file.targets.keys() : changedPaths(live, file);
    for (const path of paths) {
      const segment = segmentOfAnchor(path);
      if (segment !== undefined) changed.add(segment);
    }
  }
  return [...changed];
}

/** What is live of a tenant below; undefined where it is not anchored, or privately. */
export async function liveAnchor(parent: Tenant, segment: string): Promise<Anchor | undefined> {
  await parent.catchUp();
  const current = await parent.current();
  const path = anchorPath(segment);
  for (let role: string | undefined = 'tenants'; role !== undefined;) {
    const file: Targets | undefined = (await current.role(role))?.file;
    const entry = file?.targets.get(path);
    if (entry !== undefined) return parseAnchor(entry);
    role = file?.delegations?.bins === undefined ? undefined : file.delegations.matching(path)[0]?.name;
  }
  return undefined;
}

function changedPaths(before: Targets, after: Targets): string[] {
  const [old, next] = [entriesOf(before), entriesOf(after)];
  return [...new Set([...old.keys(), ...next.keys()])].filter((path) => old.get(path) !== next.get(path));
}

/** @throws ServerError FORBIDDEN; MetadataError for a file that is none */
export async function requireOwnAnchor(
  database: Queryable,
  caller: Caller,
  parent: Tenant,
  { files, targets = [] }: CreateProposalRequest,
): Promise<void> {
  const [file, ...others] = files;
  if (file === undefined || others.length > 0 || !holdsAnchors(file.role))
    throw refusal('one file, the one of role tenants that lists it');
  await parent.catchUp();
  const live = await (await parent.current()).role(file.role);
  if (live?.delegator === undefined) throw refusal(`role ${file.role} is not live`);
  const after = parseTargets(encodeEnvelopeText(file.signed, []));
  if (frameOf(live.file) !== frameOf(after)) throw refusal('the rest of the file stays as it is');
  if (after.expires < live.file.expires) throw refusal('the file expires no sooner than now');
  const [path, ...more] = changedPaths(live.file, after);
  const segment = path === undefined ? undefined : segmentOfAnchor(path);
  const entry = path === undefined ? undefined : after.targets.get(path);
  if (segment === undefined || entry === undefined || more.length > 0)
    throw refusal('exactly one anchor is added or changed');
  if (targets.some((target) => target.path !== path)) throw refusal('only its own root goes with it');
  const slug = tenantSlug(childTenant(parent.path as TenantPath, segment));
  if (!hasGrant(caller, { slug }, 'owner')) throw refusal("the anchor is another tenant's");
  const child = await findTenant(database, slug);
  if (child?.genesis !== parseAnchor(entry).genesis)
    throw refusal('the anchor says another genesis than the tenant has');
  // Everybody reads the parent's targets: a private child would be named there.
  if (child.visibility === 'private')
    throw refusal('the tenant is private, and an anchor here would name it');
}
