/** A signer's base from the verifying client: the same code, the same root, the same floors as every verification. */
import {
  limits,
  MetadataError,
  servedName,
  type Digest,
  type Root,
  type Targets,
  type TrustedMetadata,
} from '@mandate/metadata';
import type { Source, TrustStore, Updater, View } from '@mandate/client';
import { CliError } from '../error.ts';
import type { Base, Place } from './base.ts';

/**
 * Roles are read as they were signed, expired ones too: their next version is what renews them. Root, timestamp and
 * snapshot were judged by the clock before.
 */
const anyTime = 0;

/** How many role files are fetched at once. */
const parallelLoads = 16;

/** An updater with what it was made of. */
export interface TenantSource {
  readonly updater: Updater;
  readonly source: Source;
  readonly store: TrustStore;
}

export class VerifiedBase implements Base {
  readonly root: Root;
  readonly genesis: Digest;
  readonly #view: View;
  readonly #load: (role: string, delegator: string) => Promise<void>;

  constructor(
    view: View,
    root: Root,
    genesis: Digest,
    load: (role: string, delegator: string) => Promise<void>,
  ) {
    this.#view = view;
    this.#load = load;
    this.root = root;
    this.genesis = genesis;
  }

  /** The state machine that this rests on, for showing timestamp and snapshot. */
  get trusted(): TrustedMetadata {
    return this.#view.trusted;
  }

  get roleCount(): number {
    return this.#view.trusted.snapshot?.file.roles.size ?? 0;
  }

  async role(place: Place): Promise<Targets> {
    const delegator = place.from?.role ?? 'root';
    const { trusted } = this.#view;
    let verified = trusted.role(place.role, delegator, anyTime);
    if (verified === undefined) {
      if (place.from !== undefined) await this.role(place.from);
      await this.#load(place.role, delegator);
      verified = trusted.role(place.role, delegator, anyTime);
    }
    if (verified === undefined) {
      throw new CliError('NOT_FOUND', `role ${place.role} cannot be loaded`, { role: place.role });
    }
    return verified.file;
  }

  async preload(places: readonly Place[]): Promise<void> {
    for (let at = 0; at < places.length; at += parallelLoads) {
      await Promise.all(places.slice(at, at + parallelLoads).map((place) => this.role(place)));
    }
  }

  listedVersion(role: string): number {
    return this.#view.trusted.snapshot?.file.roles.get(role)?.version ?? 0;
  }
}

/**
 * Refreshes, and takes what was verified as a base.
 *
 * @param now milliseconds since the epoch
 * @throws MetadataError, ClientError: whatever keeps a verifier from trusting the tenant keeps a signer from signing
 */
export async function verifiedBase(tenant: TenantSource, now: number): Promise<VerifiedBase> {
  const { view, load } = await currentView(tenant, now);
  const root = view.trusted.root.file;
  if (root.genesis === undefined) {
    const message = 'not a tenant of our profile; nothing can be signed for it';
    throw new MetadataError('MALFORMED', 'PROFILE', message, { role: 'root' });
  }
  return new VerifiedBase(view, root, root.genesis, load);
}

interface Current {
  readonly view: View;
  readonly load: (role: string, delegator: string) => Promise<void>;
}

async function currentView({ updater, source, store }: TenantSource, now: number): Promise<Current> {
  try {
    const view = await updater.refresh(now);
    return { view, load: (role, delegator) => view.load(role, delegator, anyTime) };
  } catch (error) {
    // Everything up to the snapshot is current and stored; only `targets` has expired, and signing is what ends that.
    if (!(error instanceof MetadataError) || error.code !== 'EXPIRED' || error.role !== 'targets')
      throw error;
  }
  const view = await updater.offline(now);
  const load = async (role: string, delegator: string): Promise<void> => {
    const { version, length } = view.trusted.listed(role);
    const bytes = await source.fetch(
      servedName(role, version),
      Math.min(length ?? limits.roleBytes, limits.roleBytes),
    );
    // The store is a cache: what it holds is verified when it is loaded.
    if (bytes !== undefined) await store.saveRole(role, bytes);
    await view.load(role, delegator, anyTime);
  };
  return { view, load };
}
