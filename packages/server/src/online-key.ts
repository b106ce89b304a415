/** The snapshot and timestamp keys of a tenant: made by the service, named by its root. */
import type { OnlineKeys } from '@mandate/api';
import type { KeyId, Root } from '@mandate/metadata';
import { ServerError } from './error.ts';
import type { ServiceKeys, ServiceSigner } from './service-keys.ts';
import { isUniqueViolation } from './sql/connection.ts';
import type { NewServiceKey, OnlineKeyRow, OnlinePurpose, PublicKeyRow } from './sql/online-key.ts';

const purposes: readonly OnlinePurpose[] = ['snapshot', 'timestamp'];

/**
 * A new key for each purpose.
 *
 * @param rows the newest that the tenant has
 * @throws ServerError UNAVAILABLE
 */
export function createOnlineKeys(
  slug: string,
  keys: ServiceKeys,
  rows: readonly OnlineKeyRow[],
): Promise<NewServiceKey[]> {
  return Promise.all(
    purposes.map(async (purpose) => {
      const last = rows.find((row) => row.purpose === purpose)?.number ?? 0;
      return { purpose, ...(await keys.make({ tenant: slug, purpose, number: last + 1 })) };
    }),
  );
}

/**
 * Whether the newest keys still wait for a root that names them, and are where new ones would be: then asking again
 * makes no more.
 *
 * @param rows the newest of each purpose
 */
export function areUnused(
  slug: string,
  rows: readonly OnlineKeyRow[],
  { roles }: Root,
  keys: ServiceKeys,
): boolean {
  return purposes.every((purpose) => {
    const row = newestOf(rows, purpose);
    const { number, uri } = row;
    return (
      !roles[purpose].keys.has(row.keyId as KeyId) && keys.isCurrent({ tenant: slug, purpose, number }, uri)
    );
  });
}

function newestOf<Row extends PublicKeyRow>(rows: readonly Row[], purpose: OnlinePurpose): Row {
  const row = rows.find((one) => one.purpose === purpose);
  if (row === undefined) throw new ServerError('INTERNAL', `a tenant has no ${purpose} key`);
  return row;
}

/** As the API shows them. @param rows the newest of each purpose */
export function onlineKeysOf(rows: readonly PublicKeyRow[]): OnlineKeys {
  const newest = (purpose: OnlinePurpose) => {
    const { keyId, wire } = newestOf(rows, purpose);
    return { keyId, key: wire };
  };
  return { snapshot: newest('snapshot'), timestamp: newest('timestamp') };
}

/** What a root names for the service, in an order of its own. */
export function onlineKeyIdsOf({ version, roles }: Root): {
  rootVersion: number;
  snapshot: KeyId[];
  timestamp: KeyId[];
} {
  const ids = (purpose: OnlinePurpose): KeyId[] => [...roles[purpose].keys.keys()].sort();
  return { rootVersion: version, snapshot: ids('snapshot'), timestamp: ids('timestamp') };
}

/** Keys of one tenant, ready to sign. */
export class OnlineSigners {
  readonly #signers: ReadonlyMap<OnlinePurpose, readonly ServiceSigner[]>;

  /** @throws SigningError where a sealed key does not open. */
  constructor(slug: string, rows: readonly OnlineKeyRow[], keys: ServiceKeys) {
    const signersFor = (purpose: OnlinePurpose): ServiceSigner[] =>
      rows.filter((row) => row.purpose === purpose).map((row) => keys.signer(slug, row));
    this.#signers = new Map(purposes.map((purpose) => [purpose, signersFor(purpose)]));
  }

  /** Whether every key that the root names for snapshot and timestamp is here. */
  covers({ roles }: Root): boolean {
    return purposes.every((purpose) => {
      const here = new Set((this.#signers.get(purpose) ?? []).map(({ keyId }) => keyId));
      return [...roles[purpose].keys.keys()].every((keyId) => here.has(keyId));
    });
  }

  /**
   * The signers that `root` names for this purpose, enough for its threshold.
   *
   * @throws ServerError THRESHOLD_NOT_MET where the root asks for keys that are not here.
   */
  for(root: Root, purpose: OnlinePurpose): readonly ServiceSigner[] {
    const { keys, threshold } = root.roles[purpose];
    const named = (this.#signers.get(purpose) ?? []).filter((signer) => keys.has(signer.keyId));
    if (named.length < threshold) {
      throw new ServerError(
        'THRESHOLD_NOT_MET',
        `root version ${root.version} wants ${threshold} signatures of the ${purpose} role, and the service ` +
          `holds ${named.length} of its keys; use the online keys that GET /v1/tenants/{slug} shows`,
        { role: 'root' },
      );
    }
    return named.slice(0, threshold);
  }
}

/** @throws ServerError CONFLICT where another request was first, or the keys are in use already */
export async function keysTaken<T>(insert: Promise<T>): Promise<T> {
  try {
    return await insert;
  } catch (error) {
    if (isUniqueViolation(error, 'online_key_tenant_id_purpose_number_key'))
      throw new ServerError('CONFLICT', 'another request made these keys; ask again for them', {
        cause: error,
      });
    if (!isUniqueViolation(error, 'online_key_id') && !isUniqueViolation(error, 'online_key_thumbprint_key'))
      throw error;
    throw new ServerError(
      'CONFLICT',
      'the key at the configured place is in use already, by this tenant or another; each needs one of its own',
      { cause: error },
    );
  }
}
