/** What is grown: each shape makes a service of one size, and says what is asked of it and changed in it. */
import { anchorPath, anchorTarget, hexOf, parseRoot, sha256Of, type Digest } from '@mandate/metadata';
import { LargeTenant } from '../large-tenant.ts';
import { createTenant, sampleEntry, type Caller, type Entry, type Owned, type Reply } from '../owner.ts';
import type { BenchKey } from '../tenant.ts';

/** One artifact, as commands name it. */
export interface Artifact {
  /** Seen from the tenant that is pinned: `team0/app:v1`. */
  readonly name: string;
  readonly digest: Digest;
}

/** A service of one size, ready to be measured. */
export interface Subject {
  /** The tenant whose genesis readers know. */
  readonly pinned: Owned;
  readonly artifact: Artifact;
  /** The tenant that is changed, and the key that signs the change. */
  readonly changed: Owned;
  readonly key: BenchKey;
  /** The command that makes the change of this round, in a file that readers of the artifact have; and what is asked afterwards. */
  readonly change: (round: number) => Promise<{ command: readonly string[]; artifact: Artifact }>;
  /** A publication of the same kind, built and signed in advance. */
  readonly publish: (round: number) => Promise<Reply>;
}

export interface Shape {
  readonly name: string;
  readonly sizes: readonly number[];
  readonly quickSizes: readonly number[];
  /** Between sizes: growth is said as a factor for ten times as much, or as what each level adds. */
  readonly per: 'decade' | 'level';
  /** @param url of the service */
  readonly prepare: (caller: Caller, size: number, url: string) => Promise<Subject>;
}

const purposes = ['distrust', 'tenants', 'reserved'];
const roles = [...purposes, 'org'];

/** @param above the tenants between the pinned one and its own: `acme/` */
function artifactOf(repository: string, tag: string, above = ''): Artifact {
  return { name: `${above}${repository}:${tag}`, digest: sha256Of(`${repository}/${tag}`) };
}

/** As a signer writes an image: by its tag and by its digest. */
function imageEntries(repository: string): Entry[] {
  const [path, target] = sampleEntry(`${repository}/v1`);
  return [
    [path, target],
    [`${repository}/sha256:${hexOf(target.digest)}`, target],
  ];
}

function signing({ path }: Owned, { name, digest }: Artifact): string[] {
  return ['sign', '--tenant', path, '--name', name, digest, '--size', '1024', '--yes'];
}

/** One repository is asked for, and signed in. */
function inRepository(tenant: LargeTenant, role: string, repository: string): Subject {
  const { owned } = tenant;
  return {
    pinned: owned,
    artifact: artifactOf(repository, 'v1'),
    changed: owned,
    key: tenant.keyOf(role),
    change: async (round) => {
      const artifact = artifactOf(repository, `s${round}`);
      return { command: signing(owned, artifact), artifact };
    },
    publish: (round) => tenant.add(role, sampleEntry(`${repository}/p${round}`)),
  };
}

function anchorEntry(segment: string, { root, slug, genesis }: Owned, url: string): Entry {
  const anchor = {
    genesis,
    rootVersion: parseRoot(root).version,
    rootDigest: sha256Of(root),
    rootLength: root.length,
    metadataUrls: [`${url}/tuf/${slug}/metadata`],
    status: 'active',
  } as const;
  return [anchorPath(segment), anchorTarget(anchor)];
}

const depth: Shape = {
  name: 'tenants above one another',
  sizes: [1, 2, 3, 4],
  quickSizes: [1, 2],
  per: 'level',
  prepare: async (caller, size, url) => {
    const registry = await LargeTenant.create(caller, '/', roles);
    const segments = Array.from({ length: size }, (_, i) => `level${i + 1}`);
    let last = registry;
    for (const [i, segment] of segments.entries()) {
      const child = await LargeTenant.create(caller, segments.slice(0, i + 1).join('/'), roles);
      await last.add('tenants', anchorEntry(segment, child.owned, url));
      last = child;
    }
    await last.fill('org', imageEntries('app'));
    const above = `${segments.join('/')}/`;
    const inside = inRepository(last, 'org', 'app');
    return {
      ...inside,
      pinned: registry.owned,
      artifact: artifactOf('app', 'v1', above),
      change: async (round) => ({
        command: (await inside.change(round)).command,
        artifact: artifactOf('app', `s${round}`, above),
      }),
    };
  },
};

/** Makes many at a time. */
async function createTenants(caller: Caller, names: readonly string[]): Promise<Owned[]> {
  const made: Owned[] = [];
  const left = names.entries();
  const work = async (): Promise<void> => {
    for (const [i, name] of left) made[i] = await createTenant(caller, name, roles);
  };
  await Promise.all(Array.from({ length: 16 }, work));
  return made;
}

const tenants: Shape = {
  name: 'tenants below one registry',
  sizes: [10, 100, 1_000, 5_000],
  quickSizes: [4, 250],
  per: 'decade',
  prepare: async (caller, size, url) => {
    const registry = await LargeTenant.create(caller, '/', roles);
    const asked = await LargeTenant.create(caller, 't0', roles);
    await asked.fill('org', imageEntries('app'));
    const others = await createTenants(
      caller,
      Array.from({ length: size - 1 }, (_, i) => `t${i + 1}`),
    );
    const children = [asked.owned, ...others];
    await registry.fill(
      'tenants',
      children.map((child) => anchorEntry(child.path, child, url)),
    );
    const artifact = artifactOf('app', 'v1', 't0/');
    const home = registry.holderOf('tenants', anchorPath('t0'));
    /** A name whose anchor is in the file that t0's is in. */
    const neighbour = (prefix: string): string => {
      for (let i = 0; ; i += 1) {
        const name = `${prefix}x${i}`;
        if (registry.holderOf('tenants', anchorPath(name)) === home) return name;
      }
    };
    return {
      pinned: registry.owned,
      artifact,
      changed: registry.owned,
      key: registry.owned.key,
      change: async (round) => {
        const { path, genesis } = await createTenant(caller, neighbour(`s${round}`), roles);
        return { command: ['tenant', 'anchor', path, '--genesis', genesis, '--yes'], artifact };
      },
      publish: (round) => registry.add('tenants', anchorEntry(neighbour(`p${round}`), asked.owned, url)),
    };
  },
};

function repositoryNames(size: number): string[] {
  return Array.from({ length: size }, (_, i) => `team${String(i).padStart(5, '0')}/app`);
}

const orgRepositories: Shape = {
  name: 'repositories in one tenant, one key for all',
  sizes: [10, 100, 1_000, 10_000],
  quickSizes: [10, 200],
  per: 'decade',
  prepare: async (caller, size) => {
    const tenant = await LargeTenant.create(caller, 'acme', roles);
    const names = repositoryNames(size);
    await tenant.fill('org', names.flatMap(imageEntries));
    return inRepository(tenant, 'org', names[0] as string);
  },
};

const keyedRepositories: Shape = {
  name: 'repositories in one tenant, a key for each',
  sizes: [10, 100, 1_000, 5_000],
  quickSizes: [10, 40],
  per: 'decade',
  prepare: async (caller, size) => {
    const tenant = await LargeTenant.create(caller, 'acme', purposes);
    const names = repositoryNames(size);
    await tenant.delegate(names, imageEntries);
    const [asked] = names as [string];
    return inRepository(tenant, `repo~${asked.replaceAll('/', '~')}`, asked);
  },
};

const targets: Shape = {
  name: 'targets in one tenant',
  sizes: [1_000, 10_000, 100_000, 1_000_000],
  quickSizes: [100, 1_000],
  per: 'decade',
  prepare: async (caller, size) => {
    const tenant = await LargeTenant.create(caller, 'acme', roles);
    const paths = Array.from({ length: size }, (_, i) => `team${i % 1000}/app/v${Math.floor(i / 1000) + 1}`);
    await tenant.fill('org', paths.map(sampleEntry));
    return inRepository(tenant, 'org', 'team0/app');
  },
};

export const shapes: readonly Shape[] = [depth, tenants, orgRepositories, keyedRepositories, targets];
