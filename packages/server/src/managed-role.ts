/**
 * Roles that their owners gave to the service. A managed key is made for one role; the service signs with it only where
 * the live delegation of that role names the key and marks it, and only a publication that keeps every other rule.
 */
import {
  encodeEnvelope,
  hasManagedMark,
  requireThreshold,
  signingStatus,
  type AcceptedPublication,
  type KeyId,
  type Requirement,
  type Root,
  type Signature,
  type SubmittedFile,
  type Targets,
} from '@mandate/metadata';
import { mayUseManagedKeys, type Caller } from './caller.ts';
import { ServerError } from './error.ts';
import type { ManagedSigner, Tenant } from './tenant.ts';

/** Signatures that are made side by side. */
const batch = 8;

/** @throws ServerError FORBIDDEN */
export function requireMayUseManagedKeys(caller: Caller, tenant: Tenant): void {
  if (mayUseManagedKeys(caller, tenant)) return;
  throw new ServerError(
    'FORBIDDEN',
    `a registry's token does not let the service sign for tenant ${tenant.path}; use a token that its owner granted publisher`,
  );
}

/** The role whose keys sign a role: of a bin the one that is split, of a last leaf the one that delegates. */
function holderOf(role: string): string {
  const split = /^bins~(.+)-[0-9a-f]+$/.exec(role)?.[1] ?? role;
  return split.endsWith('~all') ? split.slice(0, -4) : split;
}

/** The managed keys that may sign for a requirement and did not. */
function missingManaged(
  { role, by, keySet, file }: Requirement,
  managed: readonly ManagedSigner[],
): readonly ManagedSigner[] {
  if (by === 'root' || by === 'root before' || role === 'root' || role === 'targets') return [];
  const missing = new Set(signingStatus(file.envelope, keySet).missing);
  return managed.filter(({ keyId, role: own }) => {
    const key = missing.has(keyId) ? keySet.keys.get(keyId) : undefined;
    return own === holderOf(role) && key !== undefined && hasManagedMark(key);
  });
}

/**
 * The signatures that are missing, where managed keys can make all of them. Nothing is signed for what would be refused
 * all the same.
 *
 * @param requirements of a publication that keeps every rule but thresholds
 * @returns by role
 * @throws MetadataError THRESHOLD_NOT_MET where others are missing, ServerError UNAVAILABLE
 */
export async function managedSignatures(
  tenant: Tenant,
  requirements: readonly Requirement[],
): Promise<ReadonlyMap<string, readonly Signature[]>> {
  const managed = await tenant.managedKeys();
  const wanted: { requirement: Requirement; signers: readonly ManagedSigner[] }[] = [];
  for (const requirement of requirements) {
    const { file, keySet, role } = requirement;
    const { met, distinct, threshold } = signingStatus(file.envelope, keySet);
    if (met) continue;
    const signers = missingManaged(requirement, managed).slice(0, threshold - distinct);
    if (distinct + signers.length < threshold) requireThreshold(file.envelope, keySet, role);
    wanted.push({ requirement, signers });
  }
  const signatures = new Map<string, readonly Signature[]>();
  for (let i = 0; i < wanted.length; i += batch) {
    await Promise.all(
      wanted.slice(i, i + batch).map(async ({ requirement: { role, file }, signers }) => {
        const { signedBytes } = file.envelope;
        signatures.set(role, await Promise.all(signers.map((signer) => sign(signer, signedBytes))));
      }),
    );
  }
  return signatures;
}

/** Files with these signatures beside or instead of those that they have. */
export function withSignatures(
  files: readonly SubmittedFile[],
  { requirements }: AcceptedPublication,
  added: ReadonlyMap<string, readonly Signature[]>,
): SubmittedFile[] {
  return files.map(({ role, bytes }) => {
    const envelope = requirements.find((one) => one.role === role)?.file.envelope;
    const own = added.get(role);
    if (envelope === undefined || own === undefined) return { role, bytes };
    const ids = new Set(own.map(({ keyId }) => keyId));
    const kept = envelope.signatures.filter(({ keyId }) => !ids.has(keyId));
    return { role, bytes: encodeEnvelope(envelope.signed, [...kept, ...own]) };
  });
}

async function sign({ keyId, open }: ManagedSigner, message: Uint8Array): Promise<Signature> {
  return { keyId, sig: await open().sign(message) };
}

/**
 * Keys that the service holds are named only for what they are: those of snapshot and timestamp for nothing else, a
 * managed one in delegations of its role, with its mark.
 *
 * @throws ServerError MALFORMED
 */
export async function requireOnPurpose(tenant: Tenant, accepted: AcceptedPublication): Promise<void> {
  for (const { name, file } of accepted.roles) {
    const { delegations } = file;
    if (delegations === undefined || delegations.keys.size === 0) continue;
    for (const { tenantId, purpose, keyId, role } of await tenant.heldAmong([...delegations.keys.keys()])) {
      const key = delegations.keys.get(keyId as KeyId);
      const isOwn = purpose === 'managed' && tenantId === tenant.id;
      if (!isOwn || key === undefined || !hasManagedMark(key)) {
        throw misused(
          name,
          isOwn
            ? `managed key ${keyId} without its mark; "x-mandate-managed": true belongs to the key`
            : `key ${keyId}, which the service holds for something else`,
        );
      }
      const foreign = namedBy(file, keyId as KeyId).find((other) => holderOf(other) !== role);
      if (foreign !== undefined)
        throw misused(name, `managed key ${keyId} to role ${foreign}; it was made for ${role}`);
    }
  }
  for (const root of accepted.roots) await requireOnlineOnPurpose(tenant, root);
}

async function requireOnlineOnPurpose(tenant: Tenant, root: Root): Promise<void> {
  for (const { tenantId, purpose, keyId } of await tenant.heldAmong([...root.keys.keys()])) {
    const named = Object.entries(root.roles).filter(([, { keys }]) => keys.has(keyId as KeyId));
    const isOwn = tenantId === tenant.id && named.every(([role]) => role === purpose);
    if (!isOwn) throw misused('root', `key ${keyId}, which the service holds for something else`);
  }
}

/** The roles of a file's delegations that name a key; of bins one stands for all. */
function namedBy({ delegations }: Targets, keyId: KeyId): string[] {
  const roles = (delegations?.roles ?? []).filter(({ keySet }) => keySet.keys.has(keyId));
  const { bins } = delegations ?? {};
  return [
    ...roles.map(({ name }) => name),
    ...(bins?.keySet.keys.has(keyId) === true ? [`${bins.namePrefix}-0`] : []),
  ];
}

function misused(role: string, what: string): ServerError {
  return new ServerError('MALFORMED', `role ${role} gives a role to ${what}`, { role, reason: 'KEY' });
}
