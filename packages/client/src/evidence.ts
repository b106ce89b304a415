/** What a verdict rests on: every link from the trusted root to the digest. Plain JSON data. */
import { isManaged } from '@mandate/metadata';
import type {
  JsonObject,
  KeyId,
  KeySet,
  PublicKey,
  Signed,
  SigningStatus,
  Step,
  TrustedMetadata,
  Verified,
} from '@mandate/metadata';

export interface KeyEvidence {
  readonly keyId: string;
  /** The service holds this key; the owner of the scope delegated to it on purpose. */
  readonly managed?: true;
}

/** One signed file on the way from the root to the digest. */
export interface Link {
  readonly role: string;
  /** Who named this role's keys; `root` names its own. */
  readonly delegator: string;
  readonly version: number;
  /** ISO 8601, UTC. */
  readonly expires: string;
  readonly threshold: number;
  /** Keys of the role with a valid signature. */
  readonly signed: readonly KeyEvidence[];
  /** Keys of the role without one. */
  readonly missing: readonly KeyEvidence[];
}

/** What the tenant says of the artifact. */
export interface Statement {
  readonly path: string;
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
  readonly mediaType?: string;
  /** Everything that the signer added. */
  readonly custom?: JsonObject;
}

/** How a tenant's root came to be trusted: pinned by genesis, by a root file, or found anchored by its parent. */
export type RootFrom = 'pinned' | 'file' | 'anchor';

/** One tenant on the way to the answer. */
export interface TenantEvidence {
  /** Its path, where it is known by one. */
  readonly tenant?: string;
  /** The tenant's identity: hash of its root version 1; absent for a repository outside our profile. */
  readonly genesis?: string;
  readonly rootFrom: RootFrom;
  /** When the newest timestamp was issued, ISO 8601, UTC; absent where it does not say. */
  readonly issued?: string;
  readonly ageMs?: number;
  /** Root, timestamp, snapshot, then `targets` down to the role that vouches or refuses. */
  readonly links: readonly Link[];
}

/** A tenant above the one that answers, with the entry that leads to the next. */
export interface AncestorEvidence extends TenantEvidence {
  readonly anchor: {
    readonly path: string;
    readonly genesis: string;
    readonly rootVersion: number;
    /** Of the child's root file of that version. */
    readonly rootDigest: string;
    readonly status: string;
    /** Served to readers with a grant only. */
    readonly detached?: true;
  };
}

/** A tenant with those above it. */
export interface Ancestors extends TenantEvidence {
  /** From the tenant that is trusted first to the parent of the one that answers; absent where that is the same. */
  readonly ancestors?: readonly AncestorEvidence[];
}

export interface Evidence extends Ancestors {
  /** When the question was judged, ISO 8601, UTC. */
  readonly checkedAt: string;
  readonly statement?: Statement;
  /** Digests that were looked up as distrusted; empty where the tenant has no such role. */
  readonly distrustChecked: readonly string[];
}

function keyEvidence(keys: ReadonlyMap<KeyId, PublicKey>, ids: readonly KeyId[]): KeyEvidence[] {
  return ids.map((keyId) => {
    const key = keys.get(keyId);
    return key !== undefined && isManaged(key) ? { keyId, managed: true } : { keyId };
  });
}

/** A status belongs to one file under one set of keys, so its link never changes. */
const links = new WeakMap<SigningStatus, Link>();

function linkOf(role: string, delegator: string, { file, status }: Verified<Signed>, keySet: KeySet): Link {
  const known = links.get(status);
  if (known !== undefined) return known;
  const link: Link = {
    role,
    delegator,
    version: file.version,
    expires: new Date(file.expires).toISOString(),
    threshold: status.threshold,
    signed: keyEvidence(keySet.keys, status.signed),
    missing: keyEvidence(keySet.keys, status.missing),
  };
  links.set(status, link);
  return link;
}

/** The link of a file that the keys of another role sign: a detached anchor. */
export function detachedLink(role: string, verified: Verified<Signed>, keySet: KeySet): Link {
  return linkOf(role, 'targets', verified, keySet);
}

/** The links of the top-level files, then of the steps of a walk. */
export function linksOf(trusted: TrustedMetadata, steps: readonly Step[]): Link[] {
  const { root, timestamp, snapshot } = trusted;
  const { roles } = root.file;
  const found = [linkOf('root', 'root', root, roles.root)];
  if (timestamp !== undefined) found.push(linkOf('timestamp', 'root', timestamp, roles.timestamp));
  if (snapshot !== undefined) found.push(linkOf('snapshot', 'root', snapshot, roles.snapshot));
  let keySet: KeySet | undefined = roles.targets;
  for (const [i, { role, delegator, verified }] of steps.entries()) {
    if (i > 0) keySet = steps[i - 1]?.verified.file.delegations?.named(role)?.keySet;
    if (keySet !== undefined) found.push(linkOf(role, delegator, verified, keySet));
  }
  return found;
}
