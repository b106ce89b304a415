/** The snapshot and timestamp keys of a tenant: made here, stored sealed, used here alone. */
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import type { OnlineKeys } from '@mandate/api';
import { keyIdOf, type KeyId, type Root } from '@mandate/metadata';
import { sealKey, signerFromKeyObject, unsealKey, type SealingKeys } from '@mandate/signing';
import { ServerError } from './error.ts';
import type { KeyPurpose, OnlineKeyRow } from './sql/tenant.ts';

const purposes: readonly KeyPurpose[] = ['snapshot', 'timestamp'];

/** A new Ed25519 key for each purpose. */
export function createOnlineKeys(slug: string, sealing: SealingKeys): OnlineKeyRow[] {
  return purposes.map((purpose) => {
    const { privateKey } = generateKeyPairSync('ed25519');
    const { publicKey } = signerFromKeyObject(privateKey, `service:${slug}/${purpose}`);
    return {
      purpose,
      keyId: keyIdOf(publicKey),
      wire: publicKey.wire,
      sealed: Buffer.from(sealKey(privateKey, sealing.current, { tenant: slug, role: purpose })),
    };
  });
}

/**
 * Whether the newest keys still wait for a root that names them: then asking again makes no more.
 *
 * @param rows newest first within a purpose
 */
export function areUnused(
  rows: readonly Pick<OnlineKeyRow, 'purpose' | 'keyId' | 'wire'>[],
  { roles }: Root,
): boolean {
  const { snapshot, timestamp } = onlineKeysOf(rows);
  return (
    !roles.snapshot.keys.has(snapshot.keyId as KeyId) && !roles.timestamp.keys.has(timestamp.keyId as KeyId)
  );
}

/** As the API shows them; where there are several, the newest. */
export function onlineKeysOf(rows: readonly Pick<OnlineKeyRow, 'purpose' | 'keyId' | 'wire'>[]): OnlineKeys {
  const newest = (purpose: KeyPurpose) => {
    const row = rows.find((one) => one.purpose === purpose);
    if (row === undefined) throw new ServerError('INTERNAL', `a tenant has no ${purpose} key`);
    return { keyId: row.keyId, key: row.wire };
  };
  return { snapshot: newest('snapshot'), timestamp: newest('timestamp') };
}

/** What a root names for the service, in an order of its own. */
export function onlineKeyIdsOf({ version, roles }: Root): {
  rootVersion: number;
  snapshot: KeyId[];
  timestamp: KeyId[];
} {
  const ids = (purpose: KeyPurpose): KeyId[] => [...roles[purpose].keys.keys()].sort();
  return { rootVersion: version, snapshot: ids('snapshot'), timestamp: ids('timestamp') };
}

/** An opened Ed25519 key. */
export interface OnlineSigner {
  readonly keyId: KeyId;
  sign(message: Uint8Array): Uint8Array | Promise<Uint8Array>;
}

/** Above it a signature takes long enough to be worth another thread; below, handing it over costs more than it. */
const otherThreadBytes = 65_536;
const signOnOtherThread = promisify(sign);

function onlineSigner(privateKey: KeyObject, keyId: KeyId): OnlineSigner {
  return {
    keyId,
    sign: (message) =>
      message.length < otherThreadBytes
        ? sign(null, message, privateKey)
        : signOnOtherThread(null, message, privateKey),
  };
}

/** The opened keys of one tenant. */
export class OnlineSigners {
  readonly #signers: ReadonlyMap<KeyPurpose, readonly OnlineSigner[]>;

  /** @throws SigningError where a sealed key does not open. */
  constructor(slug: string, rows: readonly OnlineKeyRow[], sealing: SealingKeys) {
    const signersFor = (purpose: KeyPurpose): OnlineSigner[] =>
      rows
        .filter((row) => row.purpose === purpose)
        .map((row) => {
          const privateKey = unsealKey(row.sealed, sealing, { tenant: slug, role: purpose });
          return onlineSigner(privateKey, row.keyId as KeyId);
        });
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
  for(root: Root, purpose: KeyPurpose): readonly OnlineSigner[] {
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
