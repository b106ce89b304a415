/**
 * Anchors (DESIGN section 2, "Nested tenants"): the signed entry in a parent that pins a child tenant. It is the target
 * `~tenants/<segment>`: length and sha256 of one of the child's root files, and in `custom` who the child is, where its
 * metadata is, and whether its names may be used. Pure.
 */
import { digestFromHex, hexOf, isDigest, sha256Of, type Digest } from './digest.ts';
import type { NewTarget } from './edit.ts';
import { malformed, MetadataError } from './error.ts';
import { equivocation, older } from './floor.ts';
import { member, type JsonObject } from './json.ts';
import { limits } from './limits.ts';
import { parseRepository, parseTargetPath, type TargetPath, type TenantPath } from './name.ts';
import { countMember, requireTenant, requireUnexpired, textMember } from './signed.ts';
import { parseTargets, type TargetFile, type Targets } from './targets.ts';
import { requireThreshold, type SigningStatus, type Verified } from './threshold.ts';
import type { TrustedMetadata } from './trusted.ts';

/** `suspended` may become `active` again; `removed` is the end. */
export const anchorStatuses = ['active', 'suspended', 'removed'] as const;
export type AnchorStatus = (typeof anchorStatuses)[number];

export interface Anchor {
  /** Of the child: hash of its root version 1. */
  readonly genesis: Digest;
  readonly rootVersion: number;
  /** Over the root file as it is served, signatures included. */
  readonly rootDigest: Digest;
  /** Bytes. */
  readonly rootLength: number;
  /** Folders that hold the child's `timestamp.json`, the first to be asked first; http or https. */
  readonly metadataUrls: readonly string[];
  readonly status: AnchorStatus;
}

/** At most so many places for one child's metadata. */
export const maxAnchorUrls = 8;
const prefix = '~tenants/';
const maxUrlBytes = 2_048;

/** The child's name among the children of its parent. @throws MetadataError MALFORMED/NAME unless it is one segment. */
export function parseSegment(text: string): string {
  if (parseRepository(text).includes('/')) throw malformed('NAME', 'a tenant below another is one segment');
  return text;
}

/** @throws MetadataError MALFORMED/NAME. */
export function anchorPath(segment: string): TargetPath {
  return parseTargetPath(`${prefix}${parseSegment(segment)}`);
}

/** The segment of an anchor's path; undefined for other paths. */
export function segmentOfAnchor(path: string): string | undefined {
  return path.startsWith(prefix) ? path.slice(prefix.length) : undefined;
}

/** `acme` below `/` is `acme`, `labs` below `acme` is `acme/labs`. */
export function childTenant(parent: TenantPath, segment: string): TenantPath {
  return (parent === '/' ? segment : `${parent}/${segment}`) as TenantPath;
}

/** Undefined for the registry tenant, which has none. */
export function parentTenant(child: TenantPath): { parent: TenantPath; segment: string } | undefined {
  if (child === '/') return undefined;
  const at = child.lastIndexOf('/');
  return { parent: (at < 0 ? '/' : child.slice(0, at)) as TenantPath, segment: child.slice(at + 1) };
}

/** The file of an anchor that is served to readers with a grant only, apart from targets and snapshot. */
export function detachedAnchorRole(segment: string): string {
  return `anchor~${segment}`;
}

/** The segment of a detached anchor's role name; undefined for other roles. */
export function segmentOfDetached(role: string): string | undefined {
  return role.startsWith('anchor~') ? role.slice('anchor~'.length) : undefined;
}

function parseUrls(custom: JsonObject): string[] {
  const list = member(custom, 'metadataUrls');
  if (!Array.isArray(list) || list.length === 0 || list.length > maxAnchorUrls)
    throw malformed('ANCHOR', `an anchor has 1 to ${maxAnchorUrls} metadata URLs`);
  return list.map((value: unknown) => {
    const url = typeof value === 'string' && value.length <= maxUrlBytes ? URL.parse(value) : null;
    const plain =
      url !== null &&
      /^https?:$/.test(url.protocol) &&
      `${url.username}${url.password}${url.search}${url.hash}` === '';
    if (!plain) throw malformed('ANCHOR', 'a metadata URL is http or https, without user, query or fragment');
    return value as string;
  });
}

/**
 * Reads the entry of a child.
 *
 * @throws MetadataError MALFORMED/ANCHOR, MALFORMED/SHAPE.
 */
export function parseAnchor({ hashes, length, custom }: TargetFile): Anchor {
  if (custom === undefined || hashes.sha256 === undefined)
    throw malformed('ANCHOR', 'an anchor has a sha256, and "custom" with genesis, version, URLs and status');
  const genesis = textMember(custom, 'genesis');
  if (!isDigest(genesis)) throw malformed('ANCHOR', '"genesis" is sha256:<64 lower-case hex digits>');
  const status = anchorStatuses.find((known) => known === member(custom, 'status'));
  if (status === undefined)
    throw malformed('ANCHOR', `the status of an anchor is ${anchorStatuses.join(', ')}`);
  if (length < 1 || length > limits.rootBytes)
    throw malformed('ANCHOR', `an anchored root has 1 to ${limits.rootBytes} bytes`);
  return {
    genesis,
    rootVersion: countMember(custom, 'rootVersion', 1),
    rootDigest: digestFromHex(hashes.sha256),
    rootLength: length,
    metadataUrls: parseUrls(custom),
    status,
  };
}

/** The entry as we write it. @throws MetadataError MALFORMED for what `parseAnchor` refuses. */
export function anchorTarget(anchor: Anchor): NewTarget {
  const { genesis, rootVersion, rootDigest, rootLength, metadataUrls, status } = anchor;
  const target = {
    length: rootLength,
    digest: rootDigest,
    custom: { genesis, metadataUrls: [...metadataUrls], rootVersion, status },
  };
  parseAnchor({ ...target, hashes: { sha256: hexOf(rootDigest) } });
  return target;
}

/**
 * What an anchor may become. Whoever met the child keeps to its genesis, so another one would only shut them out; and
 * what ended stays ended.
 *
 * @throws MetadataError MALFORMED/ANCHOR, with the role that lists it.
 */
export function requireSuccessor(
  path: string,
  before: Anchor,
  after: Anchor | undefined,
  role: string,
): void {
  const refuse = (what: string) => malformed('ANCHOR', `${path}: ${what}`, role);
  if (after === undefined) throw refuse('an anchor never disappears; set its status to "removed" instead');
  if (after.genesis !== before.genesis)
    throw refuse('another genesis is another tenant; clients that met this one would refuse it');
  if (after.rootVersion < before.rootVersion)
    throw refuse(
      `root version ${after.rootVersion} is behind version ${before.rootVersion}, anchored before`,
    );
  if (after.rootVersion === before.rootVersion && after.rootDigest !== before.rootDigest)
    throw refuse(`root version ${after.rootVersion} was anchored with other bytes`);
  if (before.status === 'removed' && after.status !== 'removed')
    throw refuse('it was removed; a new tenant needs another name');
}

/** A detached anchor, and the floor that it leaves. */
export interface DetachedAnchor {
  readonly anchor: Anchor;
  readonly verified: Verified<Targets>;
}

/** What was verified last of a detached anchor, so that it never goes back. */
export interface DetachedFloor {
  readonly version: number;
  /** Over the canonical `signed` part. */
  readonly digest: Digest;
}

export function detachedFloorOf({ version, envelope }: Targets): DetachedFloor {
  return { version, digest: sha256Of(envelope.signedBytes) };
}

/**
 * Verifies a detached anchor: signed by the keys that the parent's `targets` gives to `tenants`, bound to parent and
 * name, unexpired, not behind its floor, and with exactly the one entry of its child.
 *
 * @param parent brought up to date, its `targets` loaded
 * @param now milliseconds since the epoch
 * @throws MetadataError MALFORMED, THRESHOLD_NOT_MET, EXPIRED, ROLLBACK.
 */
export function verifyDetachedAnchor(
  parent: TrustedMetadata,
  segment: string,
  bytes: Uint8Array,
  floor: DetachedFloor | undefined,
  now: number,
): DetachedAnchor {
  const role = detachedAnchorRole(segment);
  const keySet = parent.role('targets', 'root', now)?.file.delegations?.named('tenants')?.keySet;
  if (keySet === undefined || parent.genesis === undefined)
    throw malformed('DELEGATION', 'the parent delegates to no role "tenants"', role);
  if (bytes.length > limits.detachedAnchorBytes)
    throw new MetadataError('LIMIT_EXCEEDED', 'SIZE', `role ${role}: too many bytes`, { role });
  const file = parseTargets(bytes);
  const status: SigningStatus = requireThreshold(file.envelope, keySet, role);
  requireTenant(file, parent.genesis, role);
  const anchor = requireDetachedContent(file, segment);
  if (floor !== undefined && file.version < floor.version)
    throw older(role, `version ${file.version} after version ${floor.version}`);
  if (file.version === floor?.version && detachedFloorOf(file).digest !== floor.digest)
    throw equivocation(role, file.version);
  requireUnexpired(file, role, now);
  return { anchor, verified: { file, status } };
}

/** The one entry of a detached anchor. @throws MetadataError MALFORMED/BINDING, MALFORMED/ANCHOR, MALFORMED/SHAPE. */
export function requireDetachedContent(file: Targets, segment: string): Anchor {
  const role = detachedAnchorRole(segment);
  if (file.role !== role) throw malformed('BINDING', `role ${role}: the file belongs to another role`, role);
  const entry = file.targets.get(anchorPath(segment));
  if (entry === undefined || file.targets.size !== 1 || file.delegations !== undefined)
    throw malformed('ANCHOR', `role ${role} lists ${anchorPath(segment)} and nothing else`, role);
  return parseAnchor(entry);
}
