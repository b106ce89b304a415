/** Simulated tenants under one another: the parent anchors a root file of the child. */
import { ClientError, MemoryStore, Updater, type OpenChild, type TrustStore } from '@mandate/client';
import {
  anchorPath,
  anchorTarget,
  detachedAnchorRole,
  hexOf,
  parseRoot,
  sha256Of,
  type Anchor,
  type JsonObject,
} from '@mandate/metadata';
import { signedFile, type SimKey, type SimRepository } from './repository.ts';

/** The anchor of a child by its root of this version. */
export function anchorOf(
  child: SimRepository,
  url: string,
  version = 1,
  change: Partial<Anchor> = {},
): Anchor {
  const bytes = child.files.get(`${version}.root.json`) as Uint8Array;
  const { genesis } = parseRoot(bytes);
  if (genesis === undefined) throw new TypeError('not a tenant of ours');
  return {
    genesis,
    rootVersion: version,
    rootDigest: sha256Of(bytes),
    rootLength: bytes.length,
    metadataUrls: [url],
    status: 'active',
    ...change,
  };
}

function entryOf(anchor: Anchor): JsonObject {
  const { length, digest, custom } = anchorTarget(anchor);
  return { custom: custom as JsonObject, hashes: { sha256: hexOf(digest) }, length };
}

/** Writes the anchor into the parent's next `tenants` and publishes. */
export function nest(parent: SimRepository, segment: string, anchor: Anchor): void {
  if (!parent.content.has('tenants')) parent.delegate('targets', 'tenants');
  parent.update('tenants', (signed) => {
    (signed['targets'] as Record<string, JsonObject>)[anchorPath(segment)] = entryOf(anchor);
  });
  parent.publish();
}

/** Serves a detached anchor, signed by the parent's `tenants` keys or others. */
export function nestDetached(
  parent: SimRepository,
  segment: string,
  anchor: Anchor,
  version = 1,
  signers: readonly SimKey[] = parent.signers.get('tenants') ?? [],
  change: JsonObject = {},
): void {
  const role = detachedAnchorRole(segment);
  const signed = {
    _type: 'targets',
    expires: parent.expiry(30),
    spec_version: '1.0.34',
    targets: { [anchorPath(segment)]: entryOf(anchor) },
    version,
    'x-mandate-role': role,
    'x-mandate-tenant': parent.genesis as string,
    ...change,
  };
  parent.files.set(`${role}.json`, signedFile(signed, signers));
}

/** Hosts by URL, and one machine's stores by genesis. */
export class Machine {
  readonly hosts: Map<string, SimRepository>;
  readonly stores = new Map<string, TrustStore>();

  constructor(hosts: ReadonlyMap<string, SimRepository> = new Map()) {
    this.hosts = new Map(hosts);
  }

  store(genesis: string): TrustStore {
    const store = this.stores.get(genesis) ?? new MemoryStore();
    this.stores.set(genesis, store);
    return store;
  }

  readonly openChild: OpenChild = async (_, { genesis, metadataUrls }) => {
    const source = this.hosts.get(metadataUrls[0] ?? '');
    if (source === undefined) throw new ClientError('UNREACHABLE', 'NETWORK', 'no such host');
    return { source, store: this.store(genesis) };
  };

  /** A new process on this machine that starts from a pinned tenant. */
  updater(sim: SimRepository, tenant: string, more: { detachedAnchors?: boolean } = {}): Updater {
    const genesis = sim.genesis as never;
    return new Updater({
      source: sim,
      store: this.store(genesis),
      pin: { genesis },
      tenant: tenant as never,
      openChild: this.openChild,
      ...more,
    });
  }
}
