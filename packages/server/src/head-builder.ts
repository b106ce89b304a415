/** The next head of a tenant with everything that goes live with it: signed, and not yet stored. */
import { digestFromHex, type AcceptedPublication, type KeyId, type Root } from '@mandate/metadata';
import { auditStart } from '@mandate/api';
import { chainAudit } from './audit.ts';
import { ServerError } from './error.ts';
import { keysNamedIn } from './example-key.ts';
import type { Group } from './group.ts';
import { versionsOf } from './member.ts';
import { makeSnapshot, makeTimestamp, type NewSnapshot } from './online-file.ts';
import type { RoleFiles } from './role-file.ts';
import type { HeadRow } from './sql/head.ts';
import type { NewHead } from './sql/publication.ts';
import type { Tenant } from './tenant.ts';

export interface HeadSettings {
  /** The smallest maximum age that is advertised; a timestamp is due after a quarter of it. */
  readonly maxAgeMs: number;
  readonly timestampLifetimeMs: number;
  readonly snapshotLifetimeMs: number;
}

export interface BuiltHead {
  readonly next: NewHead;
  /** Undefined when only the timestamp is new. */
  readonly snapshot: NewSnapshot | undefined;
}

/**
 * @param root the root after the group
 * @param current digest and length of the live snapshot, for a renewal that keeps it
 * @param now milliseconds since the epoch
 * @param seen versions that readers may have seen and that are not stored: a restored database lost them
 */
export async function buildHead(
  tenant: Tenant,
  group: Group,
  root: Root,
  current: { sha256: string; length: number } | undefined,
  settings: HeadSettings,
  files: RoleFiles,
  now: number,
  seen: { snapshot: number; timestamp: number; issuedMs: number } = {
    snapshot: 0,
    timestamp: 0,
    issuedMs: 0,
  },
): Promise<BuiltHead> {
  const { genesis } = root;
  if (genesis === undefined) throw new ServerError('INTERNAL', 'a live tenant has a root of our profile');
  const before = tenant.head?.row;
  const signers = await tenant.signers(root);
  const context = { genesis, now };
  const snapshot =
    current === undefined
      ? await makeSnapshot(
          tenant.head?.linesWith(group.roles) ?? group.firstLines(),
          Math.max(before?.snapshotVersion ?? 0, seen.snapshot),
          { ...context, signers: signers.for(root, 'snapshot'), lifetimeMs: settings.snapshotLifetimeMs },
        )
      : undefined;
  const named =
    snapshot === undefined
      ? { version: before?.snapshotVersion ?? 0, length: current?.length ?? 0, sha256: current?.sha256 ?? '' }
      : { version: snapshot.version, length: snapshot.bytes.length, sha256: snapshot.sha256 };
  const timestamp = await makeTimestamp(
    named,
    {
      version: Math.max(before?.timestampVersion ?? 0, seen.timestamp),
      issuedMs: Math.max(before?.timestampIssuedMs ?? 0, seen.issuedMs),
    },
    { ...context, signers: signers.for(root, 'timestamp'), lifetimeMs: settings.timestampLifetimeMs },
  );
  const publications = group.members.map((member) => ({
    id: member.id,
    digest: member.digest,
    versions: versionsOf(member.accepted),
  }));
  const audit = chainAudit(
    { seq: before?.auditSeq ?? 0, hash: before?.auditHash ?? auditStart },
    group.members.map((member, i) => ({
      action: member.restored === true ? 'restore' : 'publish',
      who: member.who,
      publication: member.id,
      ...(member.proposal === undefined ? {} : { proposal: member.proposal }),
      ...(member.managed === undefined ? {} : { managed: member.managed }),
      submitted: digestFromHex(Buffer.from(member.digest).toString('hex')),
      changes: group.changes[i] ?? [],
      ...(member.accepted.removed.length === 0 ? {} : { removed: member.accepted.removed }),
      signedBy: signersOf(member.accepted),
      ...onlineKeysOf(member.accepted),
      snapshot: { version: named.version, digest: digestFromHex(named.sha256) },
      timestamp: timestamp.version,
    })),
    now,
  );
  const last = audit.at(-1);
  const head: HeadRow = {
    serial: (before?.serial ?? 0) + 1,
    rootVersion: root.version,
    snapshotVersion: named.version,
    snapshotExpiresMs: snapshot?.expiresMs ?? before?.snapshotExpiresMs ?? 0,
    timestampVersion: timestamp.version,
    timestampExpiresMs: timestamp.expiresMs,
    timestampIssuedMs: timestamp.issuedMs,
    timestampBytes: timestamp.bytes,
    dueMs: now + Math.floor(settings.maxAgeMs / 4),
    auditSeq: last?.seq ?? before?.auditSeq ?? 0,
    auditHash: Buffer.from(last?.hash ?? before?.auditHash ?? auditStart),
  };
  const next: NewHead = {
    genesis,
    head,
    snapshot: snapshot && {
      sha256: snapshot.sha256,
      length: snapshot.bytes.length,
      opening: snapshot.opening,
      closing: snapshot.closing,
    },
    files: group.files,
    delegators: group.delegators,
    targets: group.targets,
    namedKeys: await newKeys(tenant, group, files),
    publications,
    audit,
  };
  return { next, snapshot };
}

/** The key ids of all signatures that the files came with. */
function signersOf({ roots, roles }: AcceptedPublication): KeyId[] {
  const found = new Set<KeyId>();
  for (const { envelope } of [...roots, ...roles.map(({ file }) => file)])
    for (const { keyId } of envelope.signatures) found.add(keyId);
  return [...found].sort();
}

/** The keys for snapshot and timestamp that a new root names. */
function onlineKeysOf({ roots, root }: AcceptedPublication): object {
  if (roots.length === 0) return {};
  const { snapshot, timestamp } = root.roles;
  return { onlineKeys: { snapshot: [...snapshot.keys.keys()], timestamp: [...timestamp.keys.keys()] } };
}

/** Thumbprints of keys that these files name and the versions before them did not. An id belongs to one key. */
async function newKeys(tenant: Tenant, group: Group, files: RoleFiles): Promise<string[]> {
  const found = new Set<string>();
  for (const { accepted } of group.members) {
    for (const root of accepted.roots)
      for (const key of keysNamedIn(root).values()) found.add(key.thumbprint);
    for (const { name, file } of accepted.roles) {
      const named = keysNamedIn(file);
      if (named.size === 0) continue;
      // A restored role may skip versions.
      const held = tenant.head?.versionOf(name) ?? 0;
      const before = held > 0 ? keysNamedIn(await files.targets(tenant.id, name, held)) : new Map();
      for (const [keyId, key] of named) if (!before.has(keyId)) found.add(key.thumbprint);
    }
  }
  return [...found];
}
