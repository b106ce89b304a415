/**
 * A child tenant as the holders of its parent's keys look at it before they anchor it: every root from its genesis to the
 * newest, and that what is live under it verifies, at each place where it is said to be.
 */
import { ClientError, HttpSource, rootDigest, Updater, type Source, type TrustStore } from '@mandate/client';
import {
  limits,
  parseRoot,
  servedName,
  sha256Of,
  type Digest,
  type Root,
  type TenantPath,
} from '@mandate/metadata';
import { CliError } from '../error.ts';

export interface VerifiedChild {
  /** The version to be anchored, and the newest. */
  readonly rootVersion: number;
  readonly newestVersion: number;
  readonly rootDigest: Digest;
  /** Bytes. */
  readonly rootLength: number;
  readonly bytes: Uint8Array;
  /** Of the anchored version. */
  readonly root: Root;
}

interface Wanted {
  readonly tenant: TenantPath;
  readonly genesis: Digest;
  /** Undefined: the newest. */
  readonly rootVersion: number | undefined;
}

/** A metadata URL as a source. */
export type OpenPlace = (metadataUrl: string) => Source | Promise<Source>;

const asAnyone: OpenPlace = (metadataUrl) => new HttpSource(metadataUrl);

async function verifyAt(
  source: Source,
  store: TrustStore,
  { tenant, genesis, rootVersion }: Wanted,
  now: number,
): Promise<VerifiedChild> {
  const updater = new Updater({ source, store, pin: { genesis }, tenant });
  const view = await updater.refresh(now);
  const newestVersion = view.trusted.root.file.version;
  const version = rootVersion ?? newestVersion;
  const seen = (await store.load()).roots.get(version);
  if (seen === undefined) {
    throw new CliError('NOT_FOUND', `tenant ${tenant} has roots 1 to ${newestVersion}, not ${version}`, {
      role: 'root',
    });
  }
  const bytes = await source.fetch(servedName('root', version), limits.rootBytes);
  const root = bytes && parseRoot(bytes);
  if (bytes === undefined || root === undefined || rootDigest(root) !== seen)
    throw new ClientError(
      'ROOT_REPLACED',
      'ROOT_SEEN',
      `root ${version} of ${tenant} is not the one on its chain`,
      {
        role: 'root',
      },
    );
  return {
    rootVersion: version,
    newestVersion,
    rootDigest: sha256Of(bytes),
    rootLength: bytes.length,
    bytes,
    root,
  };
}

/**
 * @param metadataUrls as a person named them, or as they were signed before; each is asked
 * @param now milliseconds since the epoch
 * @param open how a place is read; as anyone reads it unless said otherwise
 * @throws MetadataError, ClientError; CliError NOT_FOUND, NO_CHANGE
 */
export async function verifyChild(
  metadataUrls: readonly string[],
  store: TrustStore,
  wanted: Wanted,
  now: number,
  open: OpenPlace = asAnyone,
): Promise<VerifiedChild> {
  let first: VerifiedChild | undefined;
  for (const url of metadataUrls) {
    const found = await verifyAt(await open(url), store, wanted, now);
    first ??= found;
    if (found.rootDigest !== first.rootDigest)
      throw new ClientError(
        'ROOT_REPLACED',
        'ROOT_SEEN',
        `${url} serves another root ${found.rootVersion} file`,
        {
          role: 'root',
        },
      );
  }
  if (first === undefined) throw new CliError('USAGE', 'a child has at least one metadata URL');
  return first;
}

/** Root version 1 as a host serves it, proven by nothing: for a person to look at. @throws ClientError NO_TRUST_ROOT */
export async function offeredRoot(metadataUrl: string, open: OpenPlace = asAnyone): Promise<Root> {
  const bytes = await (await open(metadataUrl)).fetch('1.root.json', limits.rootBytes);
  if (bytes !== undefined) return parseRoot(bytes);
  throw new ClientError('NO_TRUST_ROOT', 'NO_ROOT', 'the host serves no first root of it', { role: 'root' });
}
