/** The anchor of a child in the next version of its parent: only the parts that somebody asked for change. */
import {
  anchorPath,
  anchorTarget,
  binName,
  binNumber,
  parseAnchor,
  requireSuccessor,
  scopeOfRole,
  parseScope,
  type Anchor,
  type AnchorStatus,
  type Digest,
} from '@mandate/metadata';
import { CliError } from '../error.ts';
import { below, top, type Place } from './base.ts';
import { changeContent } from './content.ts';
import { inScope, overlaps } from './delegate.ts';
import type { Draft } from './draft.ts';
import type { VerifiedChild } from './verified-child.ts';
import { entriesOf, type Entry } from './walk.ts';

const holder = below(top, 'tenants');

/** What is wanted of an anchor; what is left out stays as it is live. */
export interface AnchorWish {
  readonly segment: string;
  /** Undefined only where there is an anchor already. */
  readonly genesis?: Digest | undefined;
  readonly metadataUrls?: readonly string[] | undefined;
  readonly status?: AnchorStatus | undefined;
  /** Its root file, verified. */
  readonly child?: VerifiedChild | undefined;
}

export interface AnchorChange {
  readonly wish: AnchorWish;
  readonly before: Anchor | undefined;
  readonly after: Anchor;
  /** Entries of the parent below a child that it anchors anew: its own names hide them. */
  readonly hidden: ReadonlyMap<string, Entry>;
}

async function placeOfAnchor(draft: Draft, segment: string): Promise<Place> {
  const { delegations } = await draft.role(top);
  if (delegations?.named('tenants') === undefined)
    throw new CliError('NO_ROLE', 'the tenant delegates to no role tenants, which holds anchors', {
      role: 'targets',
    });
  const { bins } = (await draft.role(holder)).delegations ?? {};
  if (bins === undefined) return holder;
  return below(holder, binName(bins, binNumber(bins.bitLength, anchorPath(segment))));
}

/** The anchor as the draft has it. */
export async function anchorIn(draft: Draft, segment: string): Promise<Anchor | undefined> {
  const entry = (await draft.role(await placeOfAnchor(draft, segment))).targets.get(anchorPath(segment));
  return entry && parseAnchor(entry);
}

/** Every child, by its segment. */
export async function allAnchors(draft: Draft): Promise<ReadonlyMap<string, Anchor>> {
  await placeOfAnchor(draft, 'x');
  const entries = await entriesOf(draft, holder, (path) => path.startsWith('~tenants/'));
  return new Map([...entries].map(([path, { target }]) => [path.slice(9), parseAnchor(target)]));
}

export function afterOf(
  { segment, genesis, metadataUrls, status, child }: AnchorWish,
  before: Anchor | undefined,
): Anchor {
  const root = child ?? before;
  const identity = genesis ?? before?.genesis;
  const urls = metadataUrls ?? before?.metadataUrls;
  if (root === undefined || identity === undefined || urls === undefined) {
    throw new CliError('NOT_FOUND', `${segment} is not anchored yet`, {
      role: 'tenants',
      next: `mandate tenant anchor ${segment} --genesis <digest>`,
    });
  }
  const { rootVersion, rootDigest, rootLength } = root;
  return {
    genesis: identity,
    rootVersion,
    rootDigest,
    rootLength,
    metadataUrls: urls,
    status: status ?? before?.status ?? 'active',
  };
}

/** A child owns its whole prefix, so nothing of the parent may be delegated there. @throws CliError EXISTS */
async function requireNothingBelow(draft: Draft, segment: string): Promise<void> {
  for (const { name } of (await draft.role(top)).delegations?.roles ?? []) {
    const scope = scopeOfRole(name);
    if (scope === undefined || scope.split('/')[0] !== segment) continue;
    throw new CliError('EXISTS', `role ${name} holds names that would be the tenant ${segment}'s`, {
      role: name,
      next: `mandate tenant promote <tenant> ${segment} moves them, or mandate undelegate takes it back`,
    });
  }
}

function sameAnchor(a: Anchor, b: Anchor): boolean {
  const text = ({ genesis, rootVersion, rootDigest, metadataUrls, status }: Anchor): string =>
    JSON.stringify([genesis, rootVersion, rootDigest, metadataUrls, status]);
  return text(a) === text(b);
}

/**
 * Writes one anchor into the draft; an anchor that is so already is left alone.
 *
 * @throws CliError EXISTS, NO_ROLE, NOT_FOUND; MetadataError MALFORMED/ANCHOR for what an anchor may not become
 */
export async function writeAnchor(draft: Draft, wish: AnchorWish): Promise<AnchorChange> {
  const { segment, child } = wish;
  const path = anchorPath(segment);
  const before = await anchorIn(draft, segment);
  const after = afterOf(wish, before);
  let hidden: AnchorChange['hidden'] = new Map();
  if (before !== undefined) {
    requireSuccessor(path, before, after, 'tenants');
    if (sameAnchor(before, after)) return { wish, before, after, hidden };
  } else {
    await requireNothingBelow(draft, segment);
    const scope = parseScope(`${segment}/**`);
    hidden = await entriesOf(draft, top, inScope(scope), overlaps(scope));
  }
  await changeContent(draft, holder, new Map([[path, anchorTarget(after)]]));
  // Stock clients download it as the target that it is.
  if (child !== undefined && before?.rootDigest !== after.rootDigest) draft.store(path, child.bytes);
  return { wish, before, after, hidden };
}
