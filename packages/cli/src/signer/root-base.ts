/**
 * The base of the one change that ends a fast-forward: a root that replaces the online keys. A machine that met what
 * somebody made with stolen online keys refuses everything that the service offers since, as it must. The chain of roots
 * is verified all the same, and such a root rests on nothing else.
 */
import {
  MetadataError,
  parseRoot,
  parseTargets,
  requireThreshold,
  sameKeySet,
  type Digest,
  type Root,
  type Targets,
} from '@mandate/metadata';
import { top, type Base, type Place } from './base.ts';
import { verifiedBase, type TenantSource } from './verified-base.ts';

class RootBase implements Base {
  readonly root: Root;
  readonly genesis: Digest;
  readonly roleCount = 0;
  /** Why there is no better base. */
  readonly why: MetadataError;
  /** As this machine last verified it, for the rule that it still meets its keys; nothing is built on it. */
  readonly #targets: Targets;

  constructor(root: Root, genesis: Digest, targets: Targets, why: MetadataError) {
    this.root = root;
    this.genesis = genesis;
    this.why = why;
    this.#targets = targets;
  }

  role({ role }: Place): Promise<Targets> {
    return role === top.role ? Promise.resolve(this.#targets) : Promise.reject(this.why);
  }

  async preload(places: readonly Place[]): Promise<void> {
    for (const place of places) await this.role(place);
  }

  listedVersion(role: string): number {
    if (role !== top.role) throw this.why;
    return this.#targets.version;
  }
}

/**
 * As `verifiedBase`; where the service offers less than this machine saw of timestamp, snapshot or a role, the chain of
 * roots alone. What is signed on it passes `requireRootAlone` and `requireRecovery` first.
 *
 * @param now milliseconds since the epoch
 * @throws MetadataError, ClientError
 */
export async function baseForRoot(tenant: TenantSource, now: number): Promise<Base> {
  try {
    return await verifiedBase(tenant, now);
  } catch (error) {
    const goesBack = error instanceof MetadataError && error.code === 'ROLLBACK' && error.role !== 'root';
    if (!goesBack) throw error;
    return await storedRoots(tenant, error);
  }
}

/** The refresh that failed came past the roots and stored them. */
async function storedRoots({ store }: TenantSource, why: MetadataError): Promise<RootBase> {
  const { root: rootBytes } = await store.load();
  const targetsBytes = await store.role(top.role);
  if (rootBytes === undefined || targetsBytes === undefined) throw why;
  const root = parseRoot(rootBytes);
  if (root.genesis === undefined) throw why;
  const targets = parseTargets(targetsBytes);
  requireThreshold(targets.envelope, root.roles.targets, top.role);
  return new RootBase(root, root.genesis, targets, why);
}

/** @throws MetadataError: why there is no better base, unless the files to be signed are a root and no more */
export function requireRootAlone(base: Base, files: readonly { readonly role: string }[]): void {
  if (base instanceof RootBase && files.some(({ role }) => role !== 'root')) throw base.why;
}

/** @throws MetadataError: why there is no better base, unless this root replaces the online keys, and `targets` stays */
export function requireRecovery(base: Base, { roles }: Root): void {
  if (!(base instanceof RootBase)) return;
  const { roles: before } = base.root;
  const replaced = (['timestamp', 'snapshot'] as const).every(
    (role) => !sameKeySet(before[role], roles[role]),
  );
  if (!replaced || !sameKeySet(before.targets, roles.targets)) throw base.why;
}

/** What a person should know before signing on it; undefined for any other base. */
export function recoveryWarning(base: Base): string | undefined {
  if (!(base instanceof RootBase)) return undefined;
  return `warning: the service offers less than this machine saw before (${base.why.message}); new online keys end that, and this root was compared with the chain of roots alone`;
}
